"""Tables written row by row: CSV or TSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TextIO

from moleblend_plugin.chem.readers.beside import free_name as free_name
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing

ColumnType = Literal["text", "number", "integer", "flag", "vector", "vectors"]
"""``text`` str, ``number`` float64, ``integer`` int64, ``flag`` bool, ``vector`` float32 [D], ``vectors``
float32 [N, D] (the last two: Parquet only)."""

_GROUP: Final = 4096
"""Rows of a Parquet row group: what is held in memory."""


class TableWriter(Protocol):
    """Takes rows, in the order of its columns; ``None`` is an empty cell."""

    def write(self, row: Sequence[Any]) -> None:
        """Add one row."""


class _Csv:
    def __init__(self, stream: TextIO, columns: dict[str, ColumnType], tabs: bool) -> None:
        self._writer = csv.writer(stream, delimiter="\t" if tabs else ",", lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, row: Sequence[Any]) -> None:
        # 9 digits give a float32 back to the last bit.
        self._writer.writerow([f"{cell:.9g}" if isinstance(cell, float) else cell for cell in row])


class _Parquet:
    def __init__(self, path: Path, columns: dict[str, ColumnType]) -> None:
        self._arrow, parquet = _pyarrow()
        arrow = self._arrow
        kinds = {
            "text": arrow.string(),
            "number": arrow.float64(),
            "integer": arrow.int64(),
            "flag": arrow.bool_(),
            "vector": arrow.list_(arrow.float32()),
            "vectors": arrow.list_(arrow.list_(arrow.float32())),
        }
        self._schema = arrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
        self._writer = parquet.ParquetWriter(path, self._schema)
        self._rows: list[Sequence[Any]] = []

    def write(self, row: Sequence[Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _GROUP:
            self.flush()

    def flush(self) -> None:
        arrays = [
            self._arrow.array([_plain(cell) for cell in column], type=field.type)
            for column, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
        ]
        if self._rows:
            self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []

    def close(self) -> None:
        self.flush()
        self._writer.close()


def _plain(cell: Any) -> Any:  # noqa: ANN401  str, float, array or None
    if getattr(cell, "ndim", 0) == 2:
        return list(cell)
    return cell


@contextmanager
def open_table(path: Path, columns: dict[str, ColumnType]) -> Iterator[TableWriter]:
    """A table at ``path`` by its ending; it appears whole when the block ends well.

    Args:
        path: .csv, .tsv or .parquet.
        columns: type of every column, by name.

    Raises:
        MoleblendError: another ending, pyarrow is missing, or the file cannot be written.
    """
    check_table(path)
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            writer = _Parquet(temporary, columns)
            try:
                yield writer
            finally:
                writer.close()
        else:
            with temporary.open("w", encoding="utf-8", newline="") as stream:
                yield _Csv(stream, columns, path.suffix == ".tsv")


def check_table(path: Path, endings: Iterable[str] = (".csv", ".tsv", ".parquet")) -> None:
    """Refuse a name that cannot be written to, before any work.

    Raises:
        MoleblendError: another ending, no such folder, or pyarrow is missing for .parquet.
    """
    known = list(endings)
    if str(path) == "-":
        raise MoleblendError(f"--out - is not supported; name a file that ends in {' or '.join(known)}")
    if path.suffix not in known:
        raise MoleblendError(f"--out {path} has no ending that names its format; use {' or '.join(known)}")
    if not path.parent.is_dir():
        raise MoleblendError(f"--out {path}: the folder {path.parent} does not exist; create it")
    if path.is_dir():
        raise MoleblendError(f"--out {path} is a folder; name a file")
    if path.suffix == ".parquet":
        _pyarrow()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MoleblendError(
            ".parquet needs the package pyarrow: pip install pyarrow, or name a file of another ending"
        ) from error
    return pyarrow, pyarrow.parquet
