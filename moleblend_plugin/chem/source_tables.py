"""Readers of `.smi` lists and of CSV / TSV tables."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from typing import Final, TextIO

from moleblend_plugin.chem.rows import RawRow
from moleblend_plugin.chem.sources import Rows, Source, missing_column, parse_targets
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Rejection

_USUAL_NAMES: Final = ("smiles", "canonical_smiles", "isomeric_smiles", "isosmiles", "smi", "mol")
"""Names of SMILES columns tried in this order (case does not matter) when none is given."""


def read_smi(source: Source) -> Rows:
    """`SMILES [name]` per line, separated by blanks; a header and lines that start with # are skipped."""
    row = -1
    with source.text() as lines:
        for number, line in enumerate(lines):
            words = line.split(None, 1)  # a name keeps its blanks
            if not words or words[0].startswith("#"):
                continue
            if number == 0 and words[0].lower().strip('"') in _USUAL_NAMES:
                continue
            row += 1
            yield RawRow(source.name, row, words[0], "smiles", name=words[1].strip() if words[1:] else "")
    if row < 0:
        raise MoleblendError(f"{source.path} holds no molecules; expected one SMILES per line")


def read_table(source: Source) -> Rows:
    """Rows of a CSV (commas) or TSV (tabs) with a header line."""
    row = -1
    with source.text() as lines:
        reader = _reader(source, lines)
        header = _header(source, reader)
        smiles = _column(source, header, source.columns.smiles or _usual_column(source, header))
        targets = [_column(source, header, name) for name in source.columns.targets]
        split = _column(source, header, source.columns.split) if source.columns.split else None
        for cells in _lines(reader):
            if cells == []:
                continue
            row += 1
            if isinstance(cells, str):
                yield Rejection(source.name, row, "", f"unreadable line: {cells}")
                continue
            if len(cells) != len(header):
                reason = f"wrong number of cells: {len(cells)} instead of {len(header)}"
                yield Rejection(source.name, row, ",".join(cells)[:500], reason)
                continue
            text = cells[smiles].strip()
            try:
                labels = parse_targets(source.columns.targets, [cells[index] for index in targets])
            except ValueError as error:
                yield Rejection(source.name, row, text, str(error))
                continue
            yield RawRow(
                source.name, row, text, "smiles", labels, "" if split is None else cells[split].strip()
            )
    if row < 0:
        raise MoleblendError(f"{source.path} has a header but no rows; nothing to build")


def is_table(source: Source) -> bool:
    """Whether ``source`` is read by :func:`read_table`."""
    return source.name.lower().removesuffix(".gz").endswith((".csv", ".tsv"))


def read_cells(source: Source) -> Iterator[list[str]]:
    """The header of a table, then the cells of every row as :func:`read_table` counts them.

    A line that cannot be taken apart has no cells. Take another ``Source`` than the one whose rows are read.
    """
    with source.text() as lines:
        reader = _reader(source, lines)
        yield _header(source, reader)
        yield from ([] if isinstance(cells, str) else cells for cells in _lines(reader) if cells != [])


def peek_table(source: Source, count: int) -> tuple[list[str], list[list[str]]]:
    """Names of the columns but that of SMILES, and their cells in the first ``count`` sound rows."""
    lines = read_cells(source)
    header = next(lines)
    smiles = _column(source, header, source.columns.smiles or _usual_column(source, header))
    sound = (cells for cells in lines if len(cells) == len(header))
    rows = [[*cells[:smiles], *cells[smiles + 1 :]] for cells in islice(sound, count)]
    return [*header[:smiles], *header[smiles + 1 :]], rows


def _reader(source: Source, lines: TextIO) -> Iterator[list[str]]:
    tabs = source.name.lower().removesuffix(".gz").endswith(".tsv")
    csv.field_size_limit(1 << 24)
    return csv.reader(lines, delimiter="\t" if tabs else ",")


def _header(source: Source, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = next((cells for cells in reader if any(cell.strip() for cell in cells)), None)
    except csv.Error as error:
        raise MoleblendError(f"{source.path} is no CSV ({error}); check the file") from error
    if header is None:
        raise MoleblendError(f"{source.path} is empty; expected a header line and rows")
    return [cell.strip() for cell in header]


def _lines(reader: Iterator[list[str]]) -> Iterator[list[str] | str]:
    """Lines of a table; for one that the CSV reader cannot take apart, its complaint."""
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield str(error)
            continue
        yield cells if any(cell.strip() for cell in cells) else []


def _usual_column(source: Source, header: list[str]) -> str:
    present = {name.lower(): name for name in header}
    for name in _USUAL_NAMES:
        if name in present:
            return present[name]
    raise missing_column(source, "smiles", header, "column")


def _column(source: Source, header: list[str], name: str) -> int:
    if name not in header:
        raise missing_column(source, name, header, "column")
    if header.count(name) > 1:
        raise MoleblendError(
            f"{source.path} has {header.count(name)} columns named {name!r}; rename all but one"
        )
    return header.index(name)
