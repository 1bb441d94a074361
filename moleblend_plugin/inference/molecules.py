"""Molecules in memory -> records, by as many processes as joblib is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from joblib import Parallel, delayed

from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
from moleblend_plugin.schema import MoleculeRecord, Rejection

_CHUNK: Final = 32


def as_list(molecules: Any) -> list[Any]:  # noqa: ANN401  whatever holds molecules
    """Molecules of a list, a tuple, a series, an array or a table of one column.

    Raises:
        ValueError: one molecule instead of several, none, or several columns.
    """
    if isinstance(molecules, str) or not hasattr(molecules, "__len__"):
        raise ValueError(
            f"Expected a list of SMILES or RDKit molecules, got {type(molecules).__name__}: put it in a list"
        )
    if getattr(molecules, "ndim", 1) == 2:
        table = molecules.to_numpy() if hasattr(molecules, "to_numpy") else molecules
        if table.shape[1] != 1:
            raise ValueError(f"Expected one column of molecules, got {table.shape[1]}: select one")
        molecules = table[:, 0]
    found = list(molecules)
    if not found:
        raise ValueError("Found an array with 0 sample(s): at least one molecule is needed")
    return found


def convert_all(
    molecules: Sequence[object], config: ConversionConfig, n_jobs: int | None
) -> list[MoleculeRecord | Rejection]:
    """Record or rejection of every molecule, in order.

    Args:
        molecules: SMILES or RDKit molecules.
        config: how.
        n_jobs: processes, as joblib counts them.
    """
    chunks = [(molecules[start : start + _CHUNK], start) for start in range(0, len(molecules), _CHUNK)]
    parts: list[list[MoleculeRecord | Rejection]] = Parallel(n_jobs=n_jobs)(
        delayed(_convert_chunk)(chunk, start, config) for chunk, start in chunks
    )
    return [result for part in parts for result in part]


def _convert_chunk(
    chunk: Sequence[object], start: int, config: ConversionConfig
) -> list[MoleculeRecord | Rejection]:
    return [convert_molecule(molecule, start + number, config) for number, molecule in enumerate(chunk)]


def refuse_rejections(results: Sequence[MoleculeRecord | Rejection], remedy: str) -> None:
    """Raise for molecules that are none, in scikit-learn's manner.

    Raises:
        ValueError: names the first positions and reasons.
    """
    bad = [(number, result) for number, result in enumerate(results) if isinstance(result, Rejection)]
    if bad:
        shown = "; ".join(f"X[{number}] {result.text!r}: {result.reason}" for number, result in bad[:3])
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise ValueError(f"{len(bad)} of {len(results)} molecules cannot be used ({shown}{more}): {remedy}")
