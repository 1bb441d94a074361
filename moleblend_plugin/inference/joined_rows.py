"""The output of rows that were computed in parts, by the code that writes it where they are not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from moleblend_plugin.inference.embedder import What
from moleblend_plugin.inference.input_rows import InputRow
from moleblend_plugin.inference.outputs import RowResult, write_arrays
from moleblend_plugin.inference.table_writer import ColumnType, open_table


class ArraysHead(NamedTuple):
    """What an ``.npz`` says of its vectors: what they are of, their width, and the input's columns."""

    what: What
    width: int
    header: Sequence[str]


def write_joined(
    path: Path, columns: dict[str, ColumnType], rows: Iterable[Sequence[Any]], head: ArraysHead | None = None
) -> None:
    """Write all rows of a table; it appears whole.

    Args:
        path: ``.csv``, ``.tsv``, ``.parquet``, or ``.npz`` of embeddings.
        columns: of the table.
        rows: its cells; those of a table of vectors for an ``.npz``.
        head: for an ``.npz``.

    Raises:
        MoleblendError: it cannot be written.
    """
    if path.suffix == ".npz":
        assert head is not None
        write_arrays(*head, map(_result, rows), path)
        return
    with open_table(path, columns) as table:
        for row in rows:
            table.write(row)


def _result(row: Sequence[Any]) -> RowResult:
    """A row of a table of vectors, as the writer of arrays takes it."""
    row_id, *cells, vectors, reason = row
    return InputRow(row_id, tuple(cells), None, reason), vectors
