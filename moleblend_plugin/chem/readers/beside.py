"""What a file says beside its molecules: names, titles, data items, all columns of a table.

=====================  ==================================================================================
file                   columns of every row
=====================  ==================================================================================
``.csv``, ``.tsv``     those of the table; also of ``.parquet``
``.smi``               ``smiles``; ``name`` (the rest of the line, blanks kept) where any line has one
``.sdf``               ``title``, then every data item of the file, in the order of first appearance
``.npz``               ``title``, then every array with one value per molecule
others                 ``smiles`` or ``title``
=====================  ==================================================================================

A row without a name or item has an empty cell. Of two columns of one name, the input's own stays and ours,
or the later one, gets ``_`` behind it (:func:`free_name`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Source
from moleblend_plugin.chem.readers.tables import is_table, read_cells
from moleblend_plugin.schema import Rejection

NAME_COLUMN: Final = "name"
"""Column of what stands behind a SMILES in a ``.smi``."""


class Beside:
    """Columns of a file, and every row's cells under them: of all its rows, in order.

    Args:
        source: the file. A table's header is read; of others all rows once for the names of their columns, of
            a ``.smi`` those up to its first name.
        most: rows that are looked at, where not all are.
    """

    def __init__(self, source: Source, most: int | None = None) -> None:
        self._table: Iterator[list[str]] | None = None
        if is_table(source):
            self._table = read_cells(source.again())
            self.names: tuple[str, ...] = tuple(next(self._table))
            return
        self._smiles = True
        self._items: dict[str, None] = {}
        named = False
        for number, row in enumerate(islice(source.without_targets(), most)):
            if isinstance(row, Rejection):
                continue
            if number == 0:
                self._smiles = row.kind == "smiles"
            named = named or bool(row.name)
            self._items.update(dict.fromkeys(name for name, _ in row.items))
            if self._smiles and (named or row.record is not None) and not row.items:
                break
        self._named = named
        ours = ["smiles" if self._smiles else "title", *([NAME_COLUMN] if named else [])]
        self.names = (*_free_names(ours, self._items), *self._items)

    def cells(self, row: RawRow | Rejection) -> tuple[str, ...]:
        """Cells of a row under :attr:`names`; of a table, of the next one."""
        if self._table is not None:
            cells, width = next(self._table), len(self.names)
            return (*cells[:width], *[""] * (width - len(cells)))  # a row with too few or too many
        if isinstance(row, Rejection):
            return (row.text, *[""] * (len(self.names) - 1))
        items = dict(row.items)
        name = (row.name,) if self._named else ()
        return (row.shown, *name, *(items.get(item, "") for item in self._items))


def cells_of(source: Source, rows: Iterable[int]) -> tuple[tuple[str, ...], dict[int, tuple[str, ...]]]:
    """Names of the columns of a file, and the cells of some of its rows, by their number.

    Args:
        source: the file; it is read again. Targets are looked at in tables only: they may tell rows apart.
        rows: numbers of the rows.
    """
    wanted = set(rows)
    reader = source.again() if is_table(source) else source.without_targets()
    beside = Beside(reader)
    every = ((row.row, beside.cells(row)) for row in reader)
    found = {number: cells for number, cells in every if number in wanted}
    return tuple(_free_names(beside.names, ())), found


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """``wanted``, with underscores behind it where there is a column of that name."""
    present = set(taken)
    while wanted in present:
        wanted += "_"
    return wanted


def _free_names(wanted: Iterable[str], taken: Iterable[str]) -> Iterator[str]:
    present = set(taken)
    for name in wanted:
        free = free_name(name, present)
        present.add(free)
        yield free
