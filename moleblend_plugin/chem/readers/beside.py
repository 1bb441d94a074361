"""What a file says beside its molecules: names, titles, data items, all columns of a table.

=====================  ==================================================================================
file                   columns of every row
=====================  ==================================================================================
``.csv``, ``.tsv``     those of the table
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
from typing import Final

from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Source
from moleblend_plugin.chem.readers.tables import is_table, read_cells
from moleblend_plugin.schema import Rejection

NAME: Final = "name"
"""Column of what stands behind a SMILES in a ``.smi``."""


class Columns:
    """Columns of a file that is no table, and every row's cells under them.

    Args:
        source: the file. It is read once for the names of its columns, a ``.smi`` up to its first name.
    """

    def __init__(self, source: Source) -> None:
        self._smiles = True
        self._items: dict[str, None] = {}
        named = False
        reader = source.again()
        for number, row in enumerate(reader):
            if isinstance(row, Rejection):
                continue
            if number == 0:
                self._smiles = row.kind == "smiles"
            named = named or bool(row.name)
            self._items.update(dict.fromkeys(name for name, _ in row.items))
            if self._smiles and named and not row.items:
                break
        self._named = named
        ours = ["smiles" if self._smiles else "title", *([NAME] if named else [])]
        self.names: tuple[str, ...] = (*_free_names(ours, self._items), *self._items)

    def cells(self, row: RawRow | Rejection) -> tuple[str, ...]:
        """Cells of a row under :attr:`names`."""
        if isinstance(row, Rejection):
            return (row.text, *[""] * (len(self.names) - 1))
        items = dict(row.items)
        name = (row.name,) if self._named else ()
        return (row.shown, *name, *(items.get(item, "") for item in self._items))


def cells_of(source: Source, rows: Iterable[int]) -> tuple[tuple[str, ...], dict[int, tuple[str, ...]]]:
    """Names of the columns of a file, and the cells of some of its rows, by their number.

    Args:
        source: the file; it is read again, and its targets are not looked at.
        rows: numbers of the rows.
    """
    wanted = set(rows)
    if is_table(source):
        lines = read_cells(source.again())
        header = tuple(next(lines))
        found = {number: fit(cells, len(header)) for number, cells in enumerate(lines) if number in wanted}
        return tuple(_free_names(header, ())), found
    plain = source.without_targets()
    columns = Columns(plain)
    return columns.names, {row.row: columns.cells(row) for row in plain.again() if row.row in wanted}


def fit(cells: list[str], width: int) -> tuple[str, ...]:
    """Cells under a header of ``width`` columns, also of a row with too few or too many."""
    return (*cells[:width], *[""] * (width - len(cells)))


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
