"""``rejected.csv`` with what the inputs say beside their molecules: names, titles, data items, columns.

The columns ``row_id``, ``input`` and ``reason`` stay what they are; a column of the input that is called so
gets ``_`` behind its name.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moleblend_plugin.files import replacing

if TYPE_CHECKING:
    from moleblend_plugin.chem.readers.source import Source


def add_cells(path: Path, sources: Sequence[Source]) -> None:
    """Add the inputs' columns to a list of rejected rows; each input that has such rows is read once more.

    Args:
        path: the finished list.
        sources: the inputs.

    Raises:
        MoleblendError: an input cannot be read any more, or the list cannot be written.
    """
    from moleblend_plugin.chem.readers.beside import cells_of, free_name

    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    rows: dict[str, dict[int, int]] = {}
    for place, line in enumerate(lines):
        name, _, number = line[0].rpartition(":")
        rows.setdefault(name, {})[int(number)] = place
    columns: dict[str, int] = {}
    found: list[dict[str, str]] = [{} for _ in lines]
    for source in sources:
        wanted = rows.get(source.name, {})
        if not wanted:
            continue
        names, cells = cells_of(source, wanted)
        for row, texts in cells.items():
            found[wanted[row]] = dict(zip(names, texts, strict=True))
        columns |= dict.fromkeys(names[_is_quoted(source) :], 0)
    if not columns:
        return
    shown: list[str] = []
    for name in columns:
        shown.append(free_name(name, [*header, *shown]))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*header, *shown])
        for line, values in zip(lines, found, strict=True):
            writer.writerow([*line, *(values.get(name, "") for name in columns)])


def _is_quoted(source: Source) -> bool:
    """Whether the first column is what ``input`` quotes: SMILES or title of a file that is no table."""
    from moleblend_plugin.chem.readers.tables import is_table

    return not is_table(source)
