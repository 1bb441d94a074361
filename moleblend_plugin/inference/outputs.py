"""Inputs through a network into files: every row of the input is a row of the output, or counted with why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from moleblend_plugin.inference.arrays import open_arrays
from moleblend_plugin.inference.embedder import Embedder
from moleblend_plugin.inference.inputs import Input, InputRow
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.stream import Array
from moleblend_plugin.inference.tables import ColumnType, check_table, free_name, open_table
from moleblend_plugin.schema import MoleculeRecord

Progress = Callable[[int], None]
"""Called with the rows done."""


@dataclass
class Counts:
    """What became of the rows of an input.

    Attributes:
        rows: rows read.
        done: rows with numbers.
        flat: molecules without 3D among those done, by kind of reason.
        reasons: rows without, by kind of reason.
    """

    rows: int = 0
    done: int = 0
    flat: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, row: InputRow) -> None:
        """Count a row."""
        self.rows += 1
        if row.record is None:
            self.reasons[row.reason.partition(":")[0]] += 1
        else:
            self.done += 1
            if row.record.coords is None:
                self.flat[row.record.coords_from.partition(":")[0]] += 1


Results = Callable[[Iterable[MoleculeRecord]], Iterator[Array]]


def with_results(
    rows: Iterable[InputRow], results: Results, window: int
) -> Iterator[tuple[InputRow, Array | None]]:
    """(row, its result or ``None`` where it is no molecule) of every row, in order.

    Args:
        rows: the input; read ``window`` rows at a time.
        results: the network's results for molecules, in their order.
        window: rows held in memory.
    """
    source = iter(rows)
    while part := list(islice(source, window)):
        values = results([row.record for row in part if row.record is not None])
        for row in part:
            yield row, None if row.record is None else next(values)


def predict_to_table(
    predictor: Predictor, rows: Input, path: Path, batch_size: int, progress: Progress, window: int = 4096
) -> Counts:
    """Write a table: the input's columns, ``row_id``, ``predicted_NAME`` for every target, ``reason``.

    Raises:
        MoleblendError: the table cannot be written.
    """
    columns = _input_columns(rows.header)
    for name in predictor.target_names:
        columns[free_name(f"predicted_{name}", columns)] = "number"
    columns[free_name("reason", columns)] = "text"
    counts, blank = Counts(), [None] * len(predictor.target_names)
    with open_table(path, columns) as table:
        for row, values in with_results(
            rows, lambda records: predictor.predict_records(records, batch_size), window
        ):
            numbers: Sequence[Any] = blank if values is None else values.tolist()
            table.write([row.row_id, *row.cells, *numbers, row.reason])
            counts.add(row)
            progress(counts.rows)
    return counts


def embed_to_file(
    embedder: Embedder, rows: Input, path: Path, batch_size: int, progress: Progress, window: int = 1024
) -> Counts:
    """Write embeddings as ``.npz`` (:func:`_embed_to_arrays`) or ``.parquet`` (:func:`_embed_to_table`).

    Raises:
        MoleblendError: another ending, pyarrow is missing, or the file cannot be written.
    """
    check_table(path, (".npz", ".parquet"))
    results = with_results(rows, lambda records: embedder.embed_records(records, batch_size), window)
    write = _embed_to_table if path.suffix == ".parquet" else _embed_to_arrays
    return write(embedder, rows.header, results, path, progress)


def _embed_to_table(
    embedder: Embedder,
    header: Sequence[str],
    results: Iterable[tuple[InputRow, Array | None]],
    path: Path,
    progress: Progress,
) -> Counts:
    """``row_id``, the input's columns, ``vector`` (``vectors`` for atoms) and ``reason`` of every row."""
    columns = _input_columns(header)
    kind: ColumnType = "vectors" if embedder.what == "atoms" else "vector"
    columns |= {free_name(kind, columns): kind}
    columns |= {free_name("reason", columns): "text"}
    counts = Counts()
    with open_table(path, columns) as table:
        for row, vectors in results:
            table.write([row.row_id, *row.cells, vectors, row.reason])
            counts.add(row)
            progress(counts.rows)
    return counts


def _embed_to_arrays(
    embedder: Embedder,
    header: Sequence[str],
    results: Iterable[tuple[InputRow, Array | None]],
    path: Path,
    progress: Progress,
) -> Counts:
    """Arrays over the M embedded rows of the input, and over the F others.

    ``row`` int64 [M] (number of the row in the input), ``row_id`` str [M], ``vectors`` float32 [M, D]; for
    atoms ``vectors`` [sum of N, D] and ``offsets`` int64 [M + 1]: the atoms of molecule m are
    ``vectors[offsets[m]:offsets[m + 1]]``. ``failed_row`` int64 [F], ``failed_row_id`` and ``failed_reason``.
    """
    counts, atoms = Counts(), 0
    with open_arrays(path) as arrays:
        row_number, row_id = arrays.numbers("row", "int64"), arrays.text("row_id")
        vectors = arrays.numbers("vectors", "float32", (embedder.width,))
        failed, failed_id = arrays.numbers("failed_row", "int64"), arrays.text("failed_row_id")
        failed_reason = arrays.text("failed_reason")
        offsets = arrays.numbers("offsets", "int64") if embedder.what == "atoms" else None
        if offsets is not None:
            offsets.extend(0)
        for row, value in results:
            if value is None:
                failed.extend(counts.rows)
                failed_id.append(row.row_id)
                failed_reason.append(row.reason)
            else:
                row_number.extend(counts.rows)
                row_id.append(row.row_id)
                vectors.extend(value)
                atoms += len(value)
                if offsets is not None:
                    offsets.extend(atoms)
            counts.add(row)
            progress(counts.rows)
    return counts


def _input_columns(header: Sequence[str]) -> dict[str, ColumnType]:
    """``row_id`` and the input's columns; a name that is there twice is changed, an input's own stays."""
    names: list[str] = []
    for name in header:
        names.append(free_name(name, names))
    return dict.fromkeys([free_name("row_id", names), *names], "text")
