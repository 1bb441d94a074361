"""Molecules and the columns that stand beside them, from whatever holds both: a frame, a table, a file.

Legend: n molecules, X columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Columns
from moleblend_plugin.chem.readers.table_text import USUAL_NAMES
from moleblend_plugin.inference.estimators.label_arrays import is_missing
from moleblend_plugin.inference.estimators.molecules import (
    DescribedMolecules,
    Molecules,
    as_list,
    convert_all,
)
from moleblend_plugin.inputs import open_molecules
from moleblend_plugin.schema import FLOAT32_MAX, Float64Array, MoleculeRecord, Rejection


def described(given: Molecules, names: Sequence[str]) -> DescribedMolecules:
    """Molecules and the columns ``names`` of a table or file.

    Args:
        given: a frame of pandas or polars, an Arrow table or a mapping, whose only other column, or that
            called smiles, holds the molecules; or the ``Path`` of a file.
        names: X of them; none takes molecules alone.

    Raises:
        ValueError: it has no such columns, or a cell is no number.
        MoleblendError: the file cannot be read, or lacks a column.
    """
    if isinstance(given, DescribedMolecules):
        return given
    if not names:
        molecules = as_list(given)
        return DescribedMolecules(molecules, np.empty((len(molecules), 0)))
    if isinstance(given, Path):
        return _read_columns(given, names)
    table: Any = given
    columns = _column_names(table)
    missing = [name for name in names if name not in columns]
    if missing:
        raise ValueError(
            f"X has no column {missing[0]!r}, which descriptors_columns names: give a table with the "
            f"molecules and {', '.join(names)} (columns: {', '.join(map(str, columns)) or 'none'})"
        )
    others = [name for name in columns if name not in names]
    if len(others) > 1:
        others = [name for name in others if str(name).lower() in USUAL_NAMES][:1]
    if len(others) != 1:
        raise ValueError(
            "X must have one column of molecules beside descriptors_columns: select it, or call it 'smiles'"
        )
    numbers = [_numbers_of(name, _cells(table, name)) for name in names]
    return DescribedMolecules(as_list(_cells(table, others[0])), np.column_stack(numbers))


def _column_names(table: Any) -> list[Any]:  # noqa: ANN401  frame, table or mapping
    if isinstance(table, Mapping):
        return list(table)
    return list(getattr(table, "column_names", getattr(table, "columns", [])))


def _cells(table: Any, name: str) -> list[Any]:  # noqa: ANN401
    column = table[name]
    return column.to_pylist() if hasattr(column, "to_pylist") else list(column)


def _numbers_of(name: str, cells: list[Any]) -> Float64Array:
    """A column as numbers, NaN for None and pandas' NA.

    Raises:
        ValueError: a cell is neither, or infinite.
    """
    try:
        found = np.array([float("nan") if is_missing(cell) else float(cell) for cell in cells], np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} of X holds what is no number ({error}): correct it") from error
    if (np.abs(np.nan_to_num(found, posinf=np.inf)) > FLOAT32_MAX).any():
        raise ValueError(f"column {name!r} of X holds infinity, or what is beyond float32: correct it")
    return found


def _read_columns(path: Path, names: Sequence[str]) -> DescribedMolecules:
    """Rows of a file, and its columns ``names`` as numbers."""
    rows = list(open_molecules(path, Columns(targets=tuple(names))))
    values = [row.targets if isinstance(row, RawRow) else (float("nan"),) * len(names) for row in rows]
    return DescribedMolecules(rows, np.array(values, np.float64).reshape(len(rows), len(names)))


def with_named_labels(
    molecules: Molecules, y: npt.ArrayLike, extra: Sequence[str] = ()
) -> tuple[Molecules, npt.ArrayLike]:
    """``molecules`` and ``y`` as given; where these are a file and names of its columns, rows and labels.

    Args:
        molecules: as given.
        y: as given.
        extra: columns that stand beside the molecules of a file.

    Raises:
        MoleblendError: the file cannot be read, or has no such columns.
    """
    names: Any = (y,) if isinstance(y, str) else y
    is_named = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not isinstance(molecules, Path) or not is_named:
        return molecules, y
    rows, numbers = _read_columns(molecules, (*names, *extra))
    labels = numbers[:, : len(names)]
    return DescribedMolecules(rows, numbers[:, len(names) :]), labels if names is y else labels[:, 0]


def described_records(
    given: Molecules,
    names: Sequence[str],
    config: ConversionConfig,
    n_jobs: int | None,
    featurizers: tuple[str, ...] = (),
) -> list[MoleculeRecord | Rejection]:
    """:func:`convert_all` of what a user gave, with the columns ``names`` that stand beside the molecules."""
    molecules, values = described(given, names)
    results = convert_all(molecules, config, n_jobs, featurizers)
    if not names:
        return results
    return [
        replace(result, extra_descriptors=row) if isinstance(result, MoleculeRecord) else result
        for result, row in zip(results, values, strict=True)
    ]
