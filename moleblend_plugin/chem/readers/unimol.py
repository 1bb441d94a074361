"""Rows of Uni-Mol's files: dicts of plain values, read by others, checked and put in order here.

::

    smi str   atoms [A] element symbols   coordinates: list of [A, 3], or [C, A, 3], or [A, 3]
    target: number or list of numbers (property files only)

Anything else in the dict is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np

from moleblend_plugin.chem.readers.raw_row import ListedAtoms, RawRow
from moleblend_plugin.schema import FLOAT32_MAX, Float32Array, Rejection

_MOST_PLACES: Final = 10_000_000
"""Atoms times conformers of one row."""
_MOST_TARGETS: Final = 100_000


def row_of(
    source: str, row: int, value: dict[str, Any], n_targets: int, split: str = ""
) -> RawRow | Rejection:
    """The row that ``value`` stands for.

    Args:
        source: name of the file.
        row: the value's key.
        value: the dict.
        n_targets: labels that every row must have; with 0 a row's labels are not read.
        split: part of the data set that the file is.
    """
    smiles = value.get("smi")
    if not isinstance(smiles, str):
        return Rejection(source, row, "", "no SMILES: the value lacks 'smi'")
    smiles = str(smiles)
    try:
        targets = targets_of(value) if n_targets else ()
    except ValueError as error:
        return Rejection(source, row, smiles, str(error))
    if len(targets) != n_targets:
        return Rejection(
            source, row, smiles, f"wrong number of targets: {len(targets)} instead of {n_targets}"
        )
    return RawRow(source, row, smiles, "smiles", targets, split, listed_atoms(value))


def targets_of(value: dict[str, Any]) -> tuple[float, ...]:
    """Labels of ``value``, NaN for ``None``; empty where it has no "target".

    Raises:
        ValueError: a label is no finite number.
    """
    labels = tuple(islice(_numbers(value.get("target", ()), depth=2), _MOST_TARGETS + 1))
    if len(labels) > _MOST_TARGETS:
        raise ValueError(f"more than {_MOST_TARGETS} targets")
    return labels


def _numbers(label: object, depth: int) -> Iterator[float]:
    if label is None:
        yield float("nan")
    elif isinstance(label, bool | int | float | np.bool_ | np.integer | np.floating):
        number = float(label)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"target is no number: {number}")
        if abs(number) > FLOAT32_MAX:
            raise ValueError(f"target too large: {number:g}; float32 ends at {FLOAT32_MAX:.2g}")
        yield number
    elif isinstance(label, list | tuple | np.ndarray) and depth >= 0:
        for item in label.ravel().tolist() if isinstance(label, np.ndarray) else label:
            yield from _numbers(item, depth - 1)
    else:
        raise ValueError(f"target is no number: a {type(label).__name__}")


def listed_atoms(value: dict[str, Any]) -> ListedAtoms:
    """Atoms and coordinates of ``value``, or what is wrong with them (its 2D side may be sound)."""
    atoms, places = value.get("atoms"), value.get("coordinates")
    if atoms is None or places is None:
        return ListedAtoms((), None, "no coordinates in the source")
    try:
        symbols = _symbols(atoms)
        return ListedAtoms(symbols, _conformers(places, len(symbols)))
    except ValueError as error:
        return ListedAtoms((), None, str(error))


def _symbols(atoms: object) -> tuple[str, ...]:
    items = atoms.tolist() if isinstance(atoms, np.ndarray) else atoms
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("source atoms are no list of elements")
    return tuple(str(item) for item in items)


def _conformers(places: object, n_atoms: int) -> Float32Array:
    """``places`` as float32 [C, A, 3]."""
    if isinstance(places, np.ndarray) and places.dtype != object:
        one = places.ndim == 2
        blocks = list(places[None] if one else places)
    elif isinstance(places, list | tuple | np.ndarray):
        blocks = list(places)
        if len(blocks) == n_atoms and not any(np.ndim(block) == 2 for block in blocks[:1]):
            blocks = [blocks]  # one [A, 3] as lists
    else:
        raise ValueError("source coordinates are no lists of numbers")
    if len(blocks) * max(1, n_atoms) > _MOST_PLACES:
        raise ValueError("more source coordinates than a molecule has")
    done = [_block(block, n_atoms) for block in blocks]
    return np.stack(done) if done else np.empty((0, n_atoms, 3), np.float32)


def _block(block: object, n_atoms: int) -> Float32Array:
    """One conformer [A, 3]."""
    if isinstance(block, list | tuple):
        if len(block) != n_atoms or not all(_is_point(point) for point in block):
            raise ValueError("source coordinates are not three for every atom")
        block = np.array([[float(number) for number in point] for point in block], np.float64).reshape(-1, 3)
    if not isinstance(block, np.ndarray) or block.dtype.kind not in "fiu":
        raise ValueError("source coordinates are no lists of numbers")
    if block.shape != (n_atoms, 3):
        raise ValueError("source coordinates are not three for every atom")
    with np.errstate(over="ignore"):  # beyond float32 is no number, and told so
        return block.astype(np.float32)


def _is_point(point: object) -> bool:
    if isinstance(point, np.ndarray):
        return point.shape == (3,) and point.dtype.kind in "fiu"
    return (
        isinstance(point, list | tuple)
        and len(point) == 3
        and all(isinstance(number, int | float | np.integer | np.floating) for number in point)
    )
