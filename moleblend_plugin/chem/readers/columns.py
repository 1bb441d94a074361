"""Which columns of a file hold numbers: ``--target-columns all``."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Final, NamedTuple

from moleblend_plugin.chem.readers.beside import Beside
from moleblend_plugin.chem.readers.label_text import LabelReader, LabelRules, has_decimal_commas
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Source
from moleblend_plugin.chem.readers.table_text import smiles_column
from moleblend_plugin.chem.readers.tables import is_table
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import parse_names, write_name

LOOK_AHEAD: Final = 1000
"""Rows that decide."""


class NumericColumns(NamedTuple):
    """Columns of labels.

    Attributes:
        taken: names in the order of the file.
        left_out: why each other column is none, by name.
    """

    taken: tuple[str, ...]
    left_out: dict[str, str]


def numeric_columns(source: Source) -> NumericColumns:
    """Columns whose cells in the first ``LOOK_AHEAD`` rows are labels or missing, one at least a label.

    Labels are numbers, or the words of one pair of classes (``chem.readers.label_text``). The columns of
    SMILES and of the split are not looked at; one without a name, or with that which pandas gives to an
    index, is none.

    Raises:
        MoleblendError: the format has no columns, none is numeric, or the file cannot be read.
    """
    if not source.format.has_columns:
        raise MoleblendError(
            f"{source.shown} has no named columns; --target-columns all needs a CSV, TSV, Parquet, SDF or npz"
        )
    names, rows = _first_cells(source, LOOK_AHEAD)
    taken: list[str] = []
    left_out: dict[str, str] = {}
    for place, name in enumerate(names):
        if name == source.columns.split:
            continue
        reason = _not_numeric(name, [row[place] for row in rows], source.columns.rules)
        if reason:
            left_out[name] = reason
        else:
            taken.append(name)
    if not taken:
        reasons = (
            "; ".join(f"{write_name(name)}: {reason}" for name, reason in list(left_out.items())[:5])
            or "no columns"
        )
        raise MoleblendError(f"{source.shown} has no column of numbers for --target-columns all ({reasons})")
    return NumericColumns(tuple(taken), left_out)


def named_columns(source: Source, text: str) -> tuple[str, ...]:
    """The names in ``text`` (``names.parse_names``); or all of it, where only that is a column of the file.

    Raises:
        MoleblendError: the file cannot be read.
    """
    names = parse_names(text)
    if len(names) < 2 or not source.format.has_columns:
        return names
    present, _ = _first_cells(source, 1)
    return (text.strip(),) if text.strip() in present and not set(names) <= set(present) else names


def _first_cells(source: Source, count: int) -> tuple[list[str], list[list[str]]]:
    """Names of the columns but that of SMILES or titles, and their cells in the first rows that are sound."""
    plain = source.without_targets()
    beside = Beside(plain, count)
    cells = [(row, beside.cells(row)) for row in islice(plain, count)]
    first = smiles_column(list(beside.names), plain.columns.smiles, source.shown) if is_table(source) else 0
    kept = [place for place in range(len(beside.names)) if place != first]
    rows = [[texts[place] for place in kept] for row, texts in cells if isinstance(row, RawRow)]
    return [beside.names[place] for place in kept], rows


def _not_numeric(name: str, cells: list[str], rules: LabelRules) -> str:
    """Why a column is not one of labels; "" where it is."""
    if not name or name.startswith(("Unnamed: ", "__index_level_")):
        return "a column without a name, such as an index"
    comma = frozenset((name,) if has_decimal_commas(cells) else ())
    labels = LabelReader((name,), replace(rules, decimal_comma=comma))
    found = False
    for cell in cells:
        try:
            (value,) = labels.read([cell])
        except ValueError as error:
            too_large = str(error).startswith("target too large")
            return f"holds {cell.strip()[:20]!r}" + (", beyond float32" if too_large else "")
        found = found or value == value  # not NaN: not missing
    return "" if found else f"no value in the first {LOOK_AHEAD:,} rows"
