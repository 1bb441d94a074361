"""Reader of geometry collections in one `.npz`: molecules concatenated, as in public dumps of QM9.

Arrays, with ``n`` molecules, ``A`` atoms and ``M`` bonds in all::

    n_atoms [n]   n_bonds [n]   atomic_number [A]   formal_charge [A]   pos_angstrom [A, 3]
    bonds_i_j_order [M, 3]: atoms within the molecule and the Kekule order 1, 2 or 3

Any other array of shape [n] is a column that may be a target or name the split.
"""

from __future__ import annotations

import zipfile
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.chem.elements import SYMBOLS
from moleblend_plugin.chem.readers.label_text import LabelReader, has_decimal_commas
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Fit, Format, Head, Rows, Source, missing_column
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Rejection

Arrays = dict[str, npt.NDArray[Any]]

_NEEDED: Final = ("n_atoms", "n_bonds", "atomic_number", "formal_charge", "pos_angstrom", "bonds_i_j_order")
_LOOK_AHEAD: Final = 1000
"""Molecules that decide whether labels have decimal commas."""

_MOST: Final = 999
"""Atoms or bonds that a V2000 mol block can count."""


def read_npz(source: Source) -> Rows:
    """One mol block per molecule: conversion then is the same as for an SDF."""
    arrays = _load(source)
    columns = [name for name in arrays if name not in _NEEDED]
    for name in (*source.columns.targets, source.columns.split):
        if name and name not in columns:
            raise missing_column(source, name, columns, "column")
    ends_of_atoms = np.cumsum(arrays["n_atoms"])
    ends_of_bonds = np.cumsum(arrays["n_bonds"])
    count = len(arrays["n_atoms"])
    commas = (name for name in source.columns.targets if _has_commas(arrays[name][:_LOOK_AHEAD]))
    labels = source.label_reader(frozenset(commas))
    for row in range(count):
        source.rows_done = (row + 1) / count
        atoms = slice(int(ends_of_atoms[row] - arrays["n_atoms"][row]), int(ends_of_atoms[row]))
        bonds = slice(int(ends_of_bonds[row] - arrays["n_bonds"][row]), int(ends_of_bonds[row]))
        yield _row(source, row, arrays, atoms, bonds, labels)


def _has_commas(values: npt.NDArray[Any]) -> bool:
    """Whether an array of text holds numbers with decimal commas."""
    return values.dtype.kind == "U" and has_decimal_commas(map(str, values))


def _row(
    source: Source, row: int, arrays: Arrays, atoms: slice, bonds: slice, labels: LabelReader
) -> RawRow | Rejection:
    title = f"{source.name}:{row}"
    try:
        block = mol_block(
            title,
            arrays["atomic_number"][atoms],
            arrays["formal_charge"][atoms],
            arrays["pos_angstrom"][atoms],
            arrays["bonds_i_j_order"][bonds],
        )
        names = source.columns.targets
        numbers = labels.read([str(arrays[name][row]) for name in names])
    except ValueError as error:
        return Rejection(source.name, row, title, str(error))
    split = str(arrays[source.columns.split][row]) if source.columns.split else ""
    items = tuple((name, str(array[row])) for name, array in arrays.items() if name not in _NEEDED)
    return RawRow(source.name, row, block, "molblock", numbers, split, items=items)


def mol_block(
    title: str,
    numbers: npt.NDArray[Any],
    charges: npt.NDArray[Any],
    places: npt.NDArray[Any],
    bonds: npt.NDArray[Any],
) -> str:
    """V2000 mol block flagged 3D. Coordinates are rounded to 1e-4 Angstrom, the format's own precision.

    Raises:
        ValueError: more atoms or bonds than the format counts, or an element or atom that does not exist.
    """
    if len(numbers) > _MOST or len(bonds) > _MOST:
        raise ValueError(f"more than {_MOST} atoms or bonds: not readable from .npz, use an SDF (V3000)")
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < len(SYMBOLS):
        raise ValueError(f"unknown element: atomic numbers {numbers.min()} to {numbers.max()}")
    if len(bonds) and not 0 <= int(bonds[:, :2].min()) <= int(bonds[:, :2].max()) < len(numbers):
        raise ValueError(f"bond to a missing atom: {len(numbers)} atoms, bonds name {bonds[:, :2].max()}")
    counts = f"{len(numbers):3d}{len(bonds):3d}  0  0  0  0  0  0  0  0999 V2000"
    lines = [title, f"{'  molblend':20}3D", "", counts]  # the format wants the flag in columns 21 and 22
    for number, (x, y, z) in zip(numbers.tolist(), places.tolist(), strict=True):
        lines.append(f"{x:10.4f}{y:10.4f}{z:10.4f} {SYMBOLS[number]:<3} 0  0  0  0  0  0  0  0  0  0  0  0")
    lines += [f"{i + 1:3d}{j + 1:3d}{order:3d}  0" for i, j, order in bonds.tolist()]
    lines += [
        f"M  CHG  1 {atom + 1:3d} {charge:3d}" for atom, charge in enumerate(charges.tolist()) if charge
    ]
    return "\n".join([*lines, "M  END", ""])


def _load(source: Source) -> Arrays:
    try:
        with np.load(source.path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise MoleblendError(f"{source.shown} cannot be read as an .npz of plain arrays ({error})") from error
    for name in _NEEDED:
        if name not in arrays:
            raise missing_column(source, name, list(arrays), "array")
    n_atoms, n_bonds = int(arrays["n_atoms"].sum()), int(arrays["n_bonds"].sum())
    shapes = {
        "n_bonds": arrays["n_atoms"].shape,
        "atomic_number": (n_atoms,),
        "formal_charge": (n_atoms,),
        "pos_angstrom": (n_atoms, 3),
        "bonds_i_j_order": (n_bonds, 3),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise MoleblendError(f"{source.shown} has {name} of shape {arrays[name].shape}, expected {shape}")
    if not len(arrays["n_atoms"]):
        raise MoleblendError(f"{source.shown} holds no molecules")
    return {
        name: array for name, array in arrays.items() if name in _NEEDED or array.shape == shapes["n_bonds"]
    }


def _resembles_npz(head: Head) -> Fit:
    """Certain for an archive with an array in it; possible for one that cannot be opened."""
    if not head.start.startswith(b"PK\x03\x04"):
        return Fit.NONE
    try:
        names = zipfile.ZipFile(head.path).namelist()
    except (zipfile.BadZipFile, OSError):
        return Fit.POSSIBLE
    return Fit.CERTAIN if any(name.endswith(".npy") for name in names) else Fit.NONE


NPZ: Final = Format("an .npz", (".npz",), _resembles_npz, read_npz, has_columns=True)
