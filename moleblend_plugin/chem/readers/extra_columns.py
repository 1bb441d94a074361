"""Columns of a file that a network reads beside the molecule: temperature, pH, conditions of an assay.

A cell is a number, a word of a pair that labels know too (yes, no: 1, 0), or a missing value, which the
network takes as the mean of its training. Anything else rejects the row: nothing is guessed.

Legend: X columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from moleblend_plugin.chem.readers.label_text import LabelReader, LabelRules, has_decimal_commas
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Source, missing_column
from moleblend_plugin.chem.readers.tables import is_table, read_cells
from moleblend_plugin.schema import Float64Array, Rejection

_WHY: Final = ", which the model reads beside the molecule"


class ExtraCells:
    """Reads cells of some columns as numbers.

    Args:
        names: of the columns, X.
        missing: words or numbers for a missing value besides the usual ones.
        decimal_comma: columns whose numbers are written as 1,5.
    """

    def __init__(
        self, names: Sequence[str], missing: tuple[str, ...] = (), decimal_comma: frozenset[str] = frozenset()
    ) -> None:
        self.names = tuple(names)
        rules = LabelRules(missing, decimal_comma=decimal_comma)
        self._readers = [LabelReader((name,), rules) for name in self.names]

    def read(self, cells: Sequence[str]) -> Float64Array:
        """Numbers [X], NaN where one is missing.

        Raises:
            ValueError: a cell is none; the text names the column and the cell.
        """
        found = np.empty(len(self.names))
        for place, (reader, cell) in enumerate(zip(self._readers, cells, strict=True)):
            try:
                (found[place],) = reader.read([cell])
            except ValueError as error:
                raise ValueError(
                    f"descriptor is no number: column {self.names[place]!r}{_WHY}, "
                    f"holds {cell.strip()[:40]!r}"
                ) from error
        return found


class ExtraColumns:
    """The same for the rows of a file: from its columns, or from the labels that it holds with its molecules.

    Args:
        source: the file.
        header: names of its columns.
        names: of the columns to read, X.

    Attributes:
        source: the file; one that holds labels is asked for all of them.

    Raises:
        MoleblendError: the file lacks a column, which is named.
    """

    def __init__(self, source: Source, header: Sequence[str], names: Sequence[str]) -> None:
        held = () if source.format.held_labels is None else source.format.held_labels(source.path)
        self._places: list[int | None] = []
        for name in names:
            if name not in header and name not in held:
                raise missing_column(source, name, [*header, *held], "column", _WHY)
            self._places.append(header.index(name) if name in header else None)
        if None in self._places and source.columns.targets != held:
            source = source.asking(replace(source.columns, targets=held))
        self.source = source
        targets = source.columns.targets
        self._labels = {number: targets.index(names[number]) for number, place in enumerate(self._places)
                        if place is None}  # fmt: skip
        self._cells = ExtraCells(names, decimal_comma=_commas(source, header, names))

    def read(self, row: RawRow | Rejection, cells: Sequence[str]) -> Float64Array:
        """Numbers [X] of a row, NaN where one is missing.

        Raises:
            ValueError: a cell is none.
        """
        if isinstance(row, Rejection):
            return np.full(len(self._places), np.nan)
        found = self._cells.read(["" if place is None else cells[place] for place in self._places])
        for number, place in self._labels.items():
            found[number] = row.targets[place]
        return found


def _commas(source: Source, header: Sequence[str], names: Sequence[str]) -> frozenset[str]:
    """Those of the columns whose numbers are written as 1,5."""
    return frozenset(
        name for name in names if name in header and has_decimal_commas(_column(source, header, name))
    )


def _column(source: Source, header: Sequence[str], name: str) -> Iterator[str]:
    """Cells of one column, read as they are needed."""
    if not is_table(source):
        rows = (row for row in source.without_targets() if isinstance(row, RawRow))
        return (dict(row.items).get(name, "") for row in rows)
    place, cells = list(header).index(name), read_cells(source.again())
    next(cells)
    return (row[place] for row in cells if place < len(row))
