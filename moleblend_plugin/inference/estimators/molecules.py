"""Molecules in memory or in a file -> records, by as many processes as joblib is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from joblib import Parallel, delayed

from moleblend_plugin.chem.convert import ConversionConfig, convert, convert_molecule
from moleblend_plugin.chem.identity.featurizers import featurized
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.inputs import open_molecules
from moleblend_plugin.schema import Float64Array, MoleculeRecord, Rejection

_CHUNK: Final = 32


class DescribedMolecules(NamedTuple):
    """Molecules with the columns that stand beside them.

    Attributes:
        molecules: n of them.
        values: float64 [n, X], NaN where one is missing.
    """

    molecules: list[Any]
    values: Float64Array


Molecules = Iterable[object] | Path | DescribedMolecules
"""SMILES and RDKit molecules in a list, tuple, array, series, table of one column, or a file of them."""


def as_list(given: Molecules) -> list[Any]:
    """Molecules of a list, a tuple, a series, an array, a table of one column or a file.

    Takes NumPy's arrays, pandas' and polars' series and frames, Arrow's arrays and tables, and the ``Path``
    of a file that ``moleblend build`` reads, all of whose rows count.

    Raises:
        ValueError: one molecule instead of several, none, or several columns.
        MoleblendError: the file cannot be read.
    """
    if isinstance(given, DescribedMolecules):
        return given.molecules
    molecules: Any = list(open_molecules(given)) if isinstance(given, Path) else given
    shape = getattr(molecules, "shape", None)
    no_list = isinstance(molecules, str | bytes | Mapping) or not hasattr(molecules, "__len__") or shape == ()
    if no_list:
        raise ValueError(
            f"Expected a list of SMILES or RDKit molecules, got {type(molecules).__name__}: put it in a list"
        )
    if isinstance(shape, tuple) and len(shape) > 2:
        raise ValueError(f"Expected a list of molecules, got an array of shape {shape}")
    if isinstance(shape, tuple) and len(shape) == 2:  # polars' and Arrow's tables have no ndim
        if shape[1] != 1:
            raise ValueError(f"Expected one column of molecules, got {shape[1]}: select one")
        molecules = _column(molecules)
    found: list[Any] = molecules.to_pylist() if hasattr(molecules, "to_pylist") else list(molecules)
    if found and all(isinstance(item, list | tuple) and len(item) == 1 for item in found):
        found = [item[0] for item in found]  # rows of one cell
    if not found:
        raise ValueError("Found an array with 0 sample(s): at least one molecule is needed")
    return found


def _column(table: Any) -> Any:  # noqa: ANN401  array, frame or table of shape (n, 1)
    """Its only column."""
    if hasattr(table, "to_pylist"):
        return table.column(0)
    values = table.to_numpy() if hasattr(table, "to_numpy") else table
    return values[:, 0]


def convert_all(
    molecules: Sequence[object],
    config: ConversionConfig,
    n_jobs: int | None,
    featurizers: tuple[str, ...] = (),
) -> list[MoleculeRecord | Rejection]:
    """Record or rejection of every molecule, in order.

    Args:
        molecules: SMILES, RDKit molecules or rows of a file.
        config: how.
        n_jobs: processes, as joblib counts them.
        featurizers: what records get besides: "descriptors", "ecfp".
    """
    chunks = [(molecules[start : start + _CHUNK], start) for start in range(0, len(molecules), _CHUNK)]
    parts: list[list[MoleculeRecord | Rejection]] = Parallel(n_jobs=n_jobs)(
        delayed(_convert_chunk)(chunk, start, config, featurizers) for chunk, start in chunks
    )
    return [result for part in parts for result in part]


def _convert_chunk(
    chunk: Sequence[object], start: int, config: ConversionConfig, featurizers: tuple[str, ...]
) -> list[MoleculeRecord | Rejection]:
    found = [_converted(molecule, start + number, config) for number, molecule in enumerate(chunk)]
    if not featurizers:
        return found
    return [featurized(each, featurizers) if isinstance(each, MoleculeRecord) else each for each in found]


def _converted(molecule: object, number: int, config: ConversionConfig) -> MoleculeRecord | Rejection:
    if isinstance(molecule, Rejection):
        return molecule
    return (
        convert(molecule, config)
        if isinstance(molecule, RawRow)
        else convert_molecule(molecule, number, config)
    )


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
