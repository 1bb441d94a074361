"""Which column of a table holds the SMILES: by name, else by what stands in it."""

from __future__ import annotations

from itertools import islice
from typing import Final, NamedTuple

from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
from moleblend_plugin.chem.readers.source import Source
from moleblend_plugin.chem.readers.table_text import smiles_column
from moleblend_plugin.chem.readers.tables import is_table, read_cells
from moleblend_plugin.chem.smiles_text import looks_like_smiles
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import write_name, write_names
from moleblend_plugin.schema import MoleculeRecord

_ROWS: Final = 200
"""Rows that decide."""

_SHARE: Final = 0.8
"""Of a column's cells that must be SMILES."""

_LETTERS: Final = 3.0
"""Mean length of a SMILES: shorter ones are words such as "C" or "NO"."""


class FoundColumn(NamedTuple):
    """Name of the column, "" for the reader's own choice, and what was guessed ("" for nothing)."""

    name: str
    note: str = ""


def find_smiles_column(source: Source, wanted: str) -> FoundColumn:
    """The column of SMILES of ``source``.

    Args:
        source: any file of molecules; only a table has such a column.
        wanted: its name, where the user gives one.

    Raises:
        MoleblendError: several columns may be meant.
    """
    if wanted or not is_table(source):
        return FoundColumn(wanted)
    reader = source.again()
    table = read_cells(reader)
    header = next(table)
    if (place := smiles_column(header, "", source.shown)) is not None:
        return FoundColumn(header[place])
    rows = list(islice(table, _ROWS))
    found = [
        name
        for place, name in enumerate(header)
        if name and _holds_smiles([row[place].strip() for row in rows if place < len(row)])
    ]
    if len(found) > 1:
        raise MoleblendError(
            f"{source.shown} has several columns that hold SMILES ({write_names(found, ', ')}): "
            f"say by --smiles-column which one is meant"
        )
    if not found:
        return FoundColumn("")  # the reader says what is missing
    return FoundColumn(found[0], f"column of SMILES: {write_name(found[0])} (by what stands in it)")


def _holds_smiles(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell]
    if not filled or sum(map(len, filled)) < _LETTERS * len(filled):
        return False
    config = ConversionConfig(None, source_coords=False)
    good = sum(
        looks_like_smiles(cell.split()[0]) and isinstance(convert_molecule(cell, 0, config), MoleculeRecord)
        for cell in filled
    )
    return good >= _SHARE * len(filled)
