"""A table whose first rows have their geometry in an SDF, record for record, as PCQM4Mv2 comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.sdf import SDF
from moleblend_plugin.chem.readers.source import Rows, Source
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs.opener import open_molecules
from moleblend_plugin.schema import Rejection


def join_geometry(table: Source, sdf: Path) -> Source:
    """``table`` with the geometries of ``sdf``: record i belongs to row i, later rows have none.

    Labels and row numbers are the table's. Conversion compares the two molecules (``RawRow.expected``).

    Raises:
        MoleblendError: ``sdf`` is no SDF; when read: it has more records than the table has rows.
    """
    geometries = open_molecules(sdf)
    if geometries.format is not SDF:
        raise MoleblendError(f"--geometry {sdf} must be an SDF (.sdf or .sdf.gz)")

    def join(rows: Rows) -> Rows:
        blocks = iter(geometries.again())
        for row in rows:
            block = next(blocks, None)
            yield row if block is None else _joined(row, block)
        if next(blocks, None) is not None:
            raise MoleblendError(
                f"{sdf} has more records than {table.name} has rows; record i must belong to row i"
            )

    return table.changed(join)


def _joined(row: RawRow | Rejection, block: RawRow | Rejection) -> RawRow | Rejection:
    if isinstance(row, Rejection):
        return row
    if isinstance(block, Rejection):
        return Rejection(row.source, row.row, row.text, f"geometry: {block.reason}")
    return replace(row, text=block.text, kind="molblock", expected=row.text, record=None)
