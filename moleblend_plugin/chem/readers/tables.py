"""Reader of tables: CSV, TSV, Parquet (``docs/tables.md`` states the rules)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from moleblend_plugin.chem.readers.cells import BLANKS, SEPARATORS, choose_separator, split_line
from moleblend_plugin.chem.readers.label_text import LabelReader, has_decimal_commas
from moleblend_plugin.chem.readers.parquet_table import MAGIC, ParquetTable, count_rows
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Fit, Format, Head, Rows, Source, missing_column
from moleblend_plugin.chem.readers.table_text import (
    Table,
    TableRow,
    column_name,
    smiles_column,
    smiles_places,
    without_header,
)
from moleblend_plugin.chem.smiles_text import looks_like_smiles
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import write_names
from moleblend_plugin.schema import Rejection

AnyTable = Table | ParquetTable

_WORD: Final = 3
"""Letters of a SMILES that no short word of a comment ("no", "NO") is taken for."""


def read_table(source: Source) -> Rows:
    """Rows of a table with a header line."""
    row = -1
    with _table(source) as table:
        smiles = _smiles(source, table)
        targets = [_column(source, table, name) for name in source.columns.targets]
        split = _column(source, table, source.columns.split) if source.columns.split else None
        labels = _labels(source, table, targets)
        _report_doubles(source, table.header)
        first_label = min(targets, default=0)
        for taken in table.rows(_soundness(source, table, smiles, targets)):
            row += 1
            cells = taken.cells
            problem = taken.problem or _header_again(table, taken, smiles)
            if problem:
                yield Rejection(source.name, row, taken.text or cells[smiles].strip(), problem)
                continue
            text = cells[smiles].strip()
            if taken.given <= smiles or taken.given <= first_label:
                yield _too_short(source, row, taken, text)
                continue
            try:
                numbers = labels.read([cells[index] for index in targets])
            except ValueError as error:
                yield Rejection(source.name, row, text, str(error))
                continue
            part = "" if split is None else cells[split].strip()
            yield RawRow(source.name, row, text, "smiles", numbers, part)
    if row < 0:
        held = "a header" if source.format is TABLE else "columns"
        raise MoleblendError(f"{source.shown} has {held} but no rows; nothing to build")


def is_table(source: Source) -> bool:
    """Whether ``source`` is read by :func:`read_table`."""
    return source.format in (TABLE, PARQUET)


def read_cells(source: Source) -> Iterator[list[str]]:
    """The header of a table, then the cells of every row as :func:`read_table` counts them.

    A row that cannot be taken apart has no cells. Take another ``Source`` than the one whose rows are read.
    """
    with _table(source) as table:
        smiles = smiles_column(table.header, source.columns.smiles, source.shown)
        yield table.header
        places = [table.header.index(name) for name in source.columns.targets if name in table.header]
        for row in table.rows(_soundness(source, table, smiles or 0, places)):
            yield row.cells


def _resembles_table(head: Head) -> Fit:
    """Certain where the header names a column of SMILES; possible where all lines have as many cells."""
    lines = [line.rstrip("\r\n") for line in head.lines if line.strip()]
    for place, line in enumerate(lines):
        if any(_names_smiles([line.lstrip("# "), *lines[place + 1 :]], name) for name in (head.smiles, "")):
            return Fit.CERTAIN
        if line.startswith(("#", "sep=")):
            continue
        for separator in SEPARATORS:
            widths = {len(split_line(row, separator, literal=True)[0]) for row in lines[place:]}
            if separator != BLANKS and len(widths) == 1 and max(widths) > 1:
                return Fit.POSSIBLE
        break
    return Fit.NONE


def _names_smiles(lines: list[str], wanted: str) -> bool:
    """Whether the first of ``lines`` is a header with a column of SMILES, under some separator."""

    def is_found(cells: list[str]) -> bool:
        return bool(smiles_places(cells, wanted))

    return is_found(split_line(lines[0], choose_separator(lines, ",", is_found), literal=True)[0])


@contextmanager
def _table(source: Source) -> Iterator[Table | ParquetTable]:
    if source.format is PARQUET:
        yield ParquetTable(source.path, source.shown, source.add_note, partial(setattr, source, "rows_done"))
        return
    usual = "\t" if source.path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
    with source.text() as lines:
        yield Table(lines, source.shown, usual, source.columns.smiles, source.add_note)


def _soundness(
    source: Source, table: AnyTable, smiles: int, targets: list[int]
) -> Callable[[list[str]], bool]:
    """Whether cells make a row by themselves: asked of lines that an open quote may have swallowed.

    It may lack empty cells at its end where a label is there or, where none is asked for, another cell
    behind a SMILES that is no short word.
    """
    width = len(table.header)
    commas = frozenset(_decimal_commas(source.columns.targets, table, targets))
    rules = replace(source.columns.rules, decimal_comma=commas)

    def is_sound(cells: list[str]) -> bool:
        is_short = len(cells) < width
        if is_short and max(smiles, *targets, 1) >= len(cells):
            return False
        try:
            labels = LabelReader(source.columns.targets, rules).read([cells[place] for place in targets])
        except ValueError:
            return False
        if is_short and targets and all(label != label for label in labels):
            return False
        text = cells[smiles].strip()
        is_word = is_short and (text.isalpha() and text.islower() or not targets and len(text) < _WORD)
        return looks_like_smiles(text) and not is_word

    return is_sound


def _labels(source: Source, table: AnyTable, targets: list[int]) -> LabelReader:
    """The reader of labels; whether they have decimal commas is seen in the first rows."""
    return source.label_reader(frozenset(_decimal_commas(source.columns.targets, table, targets)))


def _decimal_commas(names: Iterable[str], table: AnyTable, places: list[int]) -> Iterator[str]:
    """Names of the columns whose numbers have decimal commas in the first rows."""
    rows = table.first_rows if places else []
    for name, place in zip(names, places, strict=False):
        if has_decimal_commas(row[place] for row in rows if place < len(row)):
            yield name


def _header_again(table: AnyTable, taken: TableRow, smiles: int) -> str:
    """Why a row is none that repeats the header, as in files that were put behind one another."""
    header = table.header
    if column_name(taken.cells[smiles]) != header[smiles] or list(map(column_name, taken.cells)) != header:
        return ""
    return f"header line again: line {taken.line}"


def _report_doubles(source: Source, header: list[str]) -> None:
    """Note names that columns share: none of these columns is used, or it would be refused."""
    doubles = [name for name, count in Counter(filter(None, header)).items() if count > 1]
    if doubles:
        source.add_note(f"has several columns named {write_names(doubles, ', ')}; none of them is used")


def _too_short(source: Source, row: int, taken: TableRow, text: str) -> Rejection:
    problem = f"wrong number of cells: {taken.given} instead of {len(taken.cells)} (line {taken.line})"
    return Rejection(source.name, row, text or ",".join(taken.cells[: taken.given])[:500], problem)


def _smiles(source: Source, table: AnyTable) -> int:
    place = smiles_column(table.header, source.columns.smiles, source.shown)
    if place is None:
        nested = list(table.nested)
        for found in smiles_places(nested, source.columns.smiles):
            raise _is_nested(source, table, nested[found])
        error = missing_column(source, source.columns.smiles or "smiles", table.header, "column")
        hint = "" if source.columns.smiles else "; name the one of SMILES by --smiles-column"
        raise MoleblendError(f"{error}{without_header(table.header) or hint}")
    return place


def _is_nested(source: Source, table: AnyTable, name: str) -> MoleblendError:
    return MoleblendError(
        f"{source.shown}: column {name!r} holds {table.nested[name]}, not one value in a row: write it as a "
        "column of its own"
    )


def _column(source: Source, table: AnyTable, name: str) -> int:
    header = table.header
    if name in table.nested:
        raise _is_nested(source, table, name)
    if name not in header:
        raise missing_column(source, name, header, "column")
    if header.count(name) > 1:
        raise MoleblendError(
            f"{source.shown} has {header.count(name)} columns named {name!r}; rename all but one"
        )
    return header.index(name)


def _resembles_parquet(head: Head) -> Fit:
    return Fit.CERTAIN if head.start.startswith(MAGIC) else Fit.NONE


TABLE: Final = Format("a table", (".csv", ".tsv"), _resembles_table, read_table, has_columns=True)
PARQUET: Final = Format(
    "a Parquet file", (".parquet",), _resembles_parquet, read_table, has_columns=True, count=count_rows
)
