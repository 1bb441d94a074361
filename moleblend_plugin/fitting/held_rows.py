"""All rows of a file in memory, with what every one says in every column.

Legend: n rows, C columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from moleblend_plugin.chem.readers.beside import Beside
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Columns, Source
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.smiles_column import find_smiles_column
from moleblend_plugin.inputs import open_molecules
from moleblend_plugin.schema import Rejection
from moleblend_plugin.splits.part_files import with_own_names


class HeldRows(NamedTuple):
    """Rows of one or several files.

    Attributes:
        header: C names of the columns, of the first file.
        rows: [n], as they were read; labels are not looked at.
        cells: [n][C], "" where a row or a file lacks one.
        parts: [n], what the row's file is: "", "valid" or "test".
        held: names of the labels that the file brings with its molecules; rows hold them as numbers.
        smiles_column: of the first file; "" where it has none, as an SDF.
        notes: what a user should know about how the files were read.
    """

    header: tuple[str, ...]
    rows: list[RawRow | Rejection]
    cells: list[tuple[str, ...]]
    parts: list[str]
    held: tuple[str, ...]
    smiles_column: str
    notes: list[str]

    def column(self, name: str) -> list[str]:
        """Cells [n] of a column, without the blanks around them."""
        place = self.header.index(name)
        return [cells[place].strip() for cells in self.cells]

    def row_id(self, place: int) -> str:
        """``file:row``."""
        row = self.rows[place]
        return f"{row.source}:{row.row}"


def hold_rows(data: str, valid: Sequence[str], test: Sequence[str], smiles_column: str) -> HeldRows:
    """Read the files.

    Raises:
        MoleblendError: a file cannot be read, or has no column of SMILES, or not those of the first.
    """
    named = [(data, ""), *((path, "valid") for path in valid), *((path, "test") for path in test)]
    opened = [_opened(path, smiles_column) for path, _ in named]
    sources = with_own_names([source for source, _ in opened])
    first, notes = sources[0], [note for _, note in opened if note]
    held = first.format.held_labels(first.path) if first.format.held_labels else ()
    header: tuple[str, ...] = ()
    rows: list[RawRow | Rejection] = []
    cells: list[tuple[str, ...]] = []
    parts: list[str] = []
    for source, (_, part) in zip(sources, named, strict=True):
        reader = source.asking(replace(source.columns, targets=held)) if held else source.again()
        beside = Beside(reader)
        header = header or tuple(beside.names)
        places = _places(header, tuple(beside.names), source)
        for row in reader:
            own = beside.cells(row)
            rows.append(row)
            cells.append(tuple("" if place is None else own[place] for place in places))
            parts.append(part)
        notes += reader.notes
    return HeldRows(header, rows, cells, parts, held, first.columns.smiles, notes)


def _opened(path: str, smiles_column: str) -> tuple[Source, str]:
    source = open_molecules(Path(path), Columns(smiles_column))
    found = find_smiles_column(source, smiles_column)
    return (source.asking(Columns(smiles=found.name)) if found.name else source), found.note


def _places(header: tuple[str, ...], own: tuple[str, ...], source: Source) -> list[int | None]:
    """Where the columns of the first file stand in another.

    Raises:
        MoleblendError: none of them does.
    """
    places = [own.index(name) if name in own else None for name in header]
    if header and all(place is None for place in places):
        raise MoleblendError(
            f"{source.shown} has none of the columns of the first file: name its columns alike"
        )
    return places
