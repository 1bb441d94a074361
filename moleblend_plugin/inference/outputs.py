"""Inputs through a network into files: every row of the input is a row of the output, or counted with why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.embedder import Embedder, What
from moleblend_plugin.inference.input_rows import Input, InputRow
from moleblend_plugin.inference.npz_writer import ArrayFile, open_arrays
from moleblend_plugin.inference.predicted_columns import predicted_cells, predicted_columns
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.stream import FloatingArray
from moleblend_plugin.inference.table_writer import (
    ColumnType,
    TableWriter,
    check_table,
    free_name,
    open_table,
)
from moleblend_plugin.inference.trust_columns import TrustColumns
from moleblend_plugin.inference.windows import ALL, LARGEST, OnRows, Span, in_spans, in_windows

NOT_FINITE: Final = "the prediction is not finite"


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

    def add(self, row: InputRow, failed: str = "") -> None:
        """Count a row; ``failed`` says why a molecule has no number."""
        self.rows += 1
        if failed:
            self.reasons[failed] += 1
        elif row.record is None:
            self.reasons[row.reason.partition(":")[0]] += 1
        else:
            self.done += 1
            if row.record.coords is None:
                self.flat[row.record.coords_from.partition(":")[0]] += 1

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"rows": self.rows, "done": self.done, "flat": dict(self.flat), "reasons": dict(self.reasons)}

    def hand_over(self) -> dict[str, Any]:
        """The same, and start again from zero."""
        found = self.to_plain()
        self.rows = self.done = 0
        self.flat.clear()
        self.reasons.clear()
        return found

    def take_in(self, other: Mapping[str, Any]) -> None:
        """Add what :meth:`to_plain` gave of other rows."""
        self.rows += other["rows"]
        self.done += other["done"]
        self.flat.update(other["flat"])
        self.reasons.update(other["reasons"])


OpenTable = Callable[[Path, dict[str, ColumnType]], AbstractContextManager[TableWriter]]
"""Opens what rows are written to, as ``table_writer.open_table`` does."""

RowResult = tuple[InputRow, FloatingArray | None]
"""A row and its result, ``None`` where it is no molecule."""


def predicted(
    predictor: Predictor, rows: Input, batch_size: int, progress: OnRows, window: int = LARGEST
) -> Iterator[list[RowResult]]:
    """Every row of an input with its predictions [T], in order, a window at a time."""
    return in_windows(rows, lambda records: predictor.predict_records(records, batch_size), progress, window)


def predict_to_table(
    predictor: Predictor,
    rows: Input,
    path: Path,
    batch_size: int,
    progress: OnRows,
    window: int = LARGEST,
    members_sd: bool = False,
    extra: TrustColumns | None = None,
    spans: Sequence[Span] = ALL,
    open_out: OpenTable = open_table,
    counts: Counts | None = None,
) -> Counts:
    """Write a table: ``row_id``, the input's columns, ``predicted_NAME`` for every target, ``reason``.

    Of several classes ``predicted_NAME`` is the likeliest, and ``probability_NAME_CLASS`` follow.

    Between them stand the columns of ``extra`` (``trust_columns.choose_trust_columns``), or with
    ``members_sd`` alone ``members_sd_NAME``: the standard deviation of the networks' predictions. A number
    that is not finite is no prediction: its cell is empty, and the reason names the target.

    Where ``rows`` are those of ``spans`` of an input alone, each from the first of a window on, they are
    computed as among all rows; ``open_out`` opens what is written, and ``counts`` are at the end those that
    are returned: they have a row before it is written.

    Raises:
        MoleblendError: the table cannot be written, or ``members_sd`` of a single network.
    """
    if members_sd and predictor.n_members == 1:
        raise MoleblendError("--members-sd: the model holds one network, whose predictions have no deviation")
    more = TrustColumns(members_sd) if extra is None else extra
    columns = input_columns(rows.header)
    names = predicted_columns(predictor) | more.columns(predictor)
    for name, kind in names.items():
        columns[free_name(name, columns)] = kind
    columns[free_name("reason", columns)] = "text"
    counts, blank = counts or Counts(), [None] * len(names)
    with open_out(path, columns) as table:
        for part in in_spans(
            rows, lambda records: more.results(predictor, records, batch_size), progress, window, spans
        ):
            for row, found in part:
                if found is None:
                    counts.add(row)
                    table.write([row.row_id, *row.cells, *blank, row.reason])
                    continue
                cells, lost = predicted_cells(predictor, found.values)
                reason = f"{NOT_FINITE}: {', '.join(lost)}" if lost else row.reason
                counts.add(row, NOT_FINITE if lost else "")
                table.write([row.row_id, *row.cells, *cells, *found.beside, reason])
    return counts


def embed_to_file(
    embedder: Embedder,
    rows: Input,
    path: Path,
    batch_size: int,
    progress: OnRows,
    window: int = LARGEST,
    **options: Any,
) -> Counts:
    """Write embeddings as ``.npz`` (:func:`write_arrays`) or ``.parquet`` (:func:`embed_to_table`).

    With ``options``, those of :func:`embed_to_table`, it is they that say what is written.

    Raises:
        MoleblendError: another ending, pyarrow is missing, or the file cannot be written.
    """
    check_table(path, (".npz", ".parquet"))
    if path.suffix == ".parquet" or options:
        return embed_to_table(embedder, rows, path, batch_size, progress, window, **options)
    parts = _embedded(embedder, rows, batch_size, progress, window, ALL)
    return write_arrays(embedder.what, embedder.width, rows.header, parts, path)


def _embedded(
    embedder: Embedder, rows: Input, batch_size: int, progress: OnRows, window: int, spans: Sequence[Span]
) -> Iterator[RowResult]:
    parts = in_spans(
        rows, lambda records: embedder.embed_records(records, batch_size), progress, window, spans
    )
    return chain.from_iterable(parts)


def embed_to_table(
    embedder: Embedder,
    rows: Input,
    path: Path,
    batch_size: int,
    progress: OnRows,
    window: int = LARGEST,
    spans: Sequence[Span] = ALL,
    open_out: OpenTable = open_table,
    counts: Counts | None = None,
) -> Counts:
    """Write ``row_id``, the input's columns, ``vector`` (``vectors`` for atoms) and ``reason`` of every row.

    ``spans``, ``open_out`` and ``counts`` are those of :func:`predict_to_table`.
    """
    columns = input_columns(rows.header)
    kind: ColumnType = "vectors" if embedder.what == "atoms" else "vector"
    columns |= {free_name(kind, columns): kind}
    columns |= {free_name("reason", columns): "text"}
    counts = counts or Counts()
    with open_out(path, columns) as table:
        for row, vectors in _embedded(embedder, rows, batch_size, progress, window, spans):
            counts.add(row)
            table.write([row.row_id, *row.cells, vectors, row.reason])
    return counts


def write_arrays(
    what: What, width: int, header: Sequence[str], results: Iterable[RowResult], path: Path
) -> Counts:
    """Arrays over the M embedded rows of the input, and over the F others.

    ``row`` int64 [M] (number of the row in the input), ``row_id`` str [M], ``input_NAME`` str [M] for every
    column of the input, ``vectors`` float32 [M, D]; for atoms ``vectors`` [sum of N, D] and ``offsets`` int64
    [M + 1]: the atoms of molecule m are ``vectors[offsets[m]:offsets[m + 1]]``. ``failed_row`` int64 [F],
    ``failed_row_id``, ``failed_input_NAME`` and ``failed_reason``.
    """
    counts, atoms, names = Counts(), 0, [f"input_{name}" for name in _distinct(header)]
    with open_arrays(path) as arrays:
        done = _Rows(arrays, "", names)
        failed = _Rows(arrays, "failed_", names)
        failed_reason = arrays.text("failed_reason")
        vectors = arrays.numbers("vectors", "float32", (width,))
        offsets = arrays.numbers("offsets", "int64") if what == "atoms" else None
        if offsets is not None:
            offsets.extend(0)
        for row, value in results:
            if value is None:
                failed.add(counts.rows, row)
                failed_reason.append(row.reason)
            else:
                done.add(counts.rows, row)
                vectors.extend(value)
                atoms += len(value)
                if offsets is not None:
                    offsets.extend(atoms)
            counts.add(row)
    return counts


class _Rows:
    """Number, id and cells of some rows, as arrays."""

    def __init__(self, arrays: ArrayFile, prefix: str, names: Sequence[str]) -> None:
        self._number = arrays.numbers(f"{prefix}row", "int64")
        self._id = arrays.text(f"{prefix}row_id")
        self._cells = [arrays.text(prefix + name) for name in names]

    def add(self, number: int, row: InputRow) -> None:
        """Append a row."""
        self._number.extend(number)
        self._id.append(row.row_id)
        for column, cell in zip(self._cells, row.cells, strict=True):
            column.append(cell)


def _distinct(header: Sequence[str]) -> list[str]:
    """The names of an input's columns, the later of two equal ones changed."""
    names: list[str] = []
    for name in header:
        names.append(free_name(name, names))
    return names


def input_columns(header: Sequence[str]) -> dict[str, ColumnType]:
    """``row_id`` and the input's columns; a name that is there twice is changed, an input's own stays."""
    names = _distinct(header)
    return dict.fromkeys([free_name("row_id", names), *names], "text")
