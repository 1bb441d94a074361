"""Rows of an output that is made in parts, some of them in a line of JSON, until all parts are there.

The first line holds the columns and what is known before, the last one what is to know of the rows and a
checksum of all before it; a file without it is not whole.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.inference.table_writer import ColumnType
from moleblend_plugin.schema import Float32Array

_BLOCK: Final = 64
"""Rows of a line: JSON takes many at once in a third of the time."""


class PartWriter:
    """Takes rows, as ``table_writer.TableWriter`` does."""

    def __init__(self, stream: IO[bytes], columns: dict[str, ColumnType], head: dict[str, Any]) -> None:
        self._stream = stream
        self._block: list[Sequence[Any]] = []
        self._rows = 0
        self._checksum = 0
        self._line({"columns": columns, "head": head})

    def write(self, row: Sequence[Any]) -> None:
        """Add one row."""
        self._block.append(row)
        self._rows += 1
        if len(self._block) == _BLOCK:
            self._flush()

    def end(self, facts: dict[str, Any]) -> None:
        """Add the last line."""
        self._flush()
        self._line({"facts": facts, "rows": self._rows, "crc32": self._checksum})

    def _flush(self) -> None:
        if self._block:
            self._line(self._block)
            self._block = []

    def _line(self, value: object) -> None:
        line = (_JSON(value) + "\n").encode("ascii")
        self._checksum = zlib.crc32(line, self._checksum)
        self._stream.write(line)


@contextmanager
def open_part(
    path: Path,
    columns: dict[str, ColumnType],
    head: dict[str, Any] | None = None,
    facts: Callable[[], dict[str, Any]] = dict,
) -> Iterator[PartWriter]:
    """A part at ``path``; it appears whole when the block ends well.

    Args:
        path: the file.
        columns: type of every column, by name.
        head: plain values that are known before the rows.
        facts: gives those that are known behind them.

    Raises:
        MoleblendError: it cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as stream:
        writer = PartWriter(stream, columns, head or {})
        yield writer
        writer.end(facts())
        stream.flush()


class PartReader:
    """A part, read again for each pass.

    Args:
        path: the file.

    Attributes:
        columns: of its rows.
        head: what was known before them.

    Raises:
        MoleblendError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as stream:
            first = self._read(stream.readline(), dict)
        try:
            self.columns: dict[str, ColumnType] = first["columns"]
            self.head: dict[str, Any] = first["head"]
        except KeyError as error:
            raise self._damaged() from error

    def rows(self, facts: dict[str, Any]) -> Iterator[list[Any]]:
        """All rows in order; ``facts`` then holds what is to know of them.

        Raises:
            MoleblendError: it is damaged.
        """
        for block in self._blocks(facts):
            yield from block

    def facts(self) -> dict[str, Any]:
        """What is to know of the rows, which are compared with the checksum, and no more.

        Raises:
            MoleblendError: it is damaged.
        """
        end: dict[str, Any] = {}
        for _ in self._lines(end):
            continue
        found: dict[str, Any] = end["facts"]
        return found

    def _blocks(self, facts: dict[str, Any]) -> Iterator[list[list[Any]]]:
        """The rows of every line; ``facts`` then holds those of the last line."""
        count, end = 0, dict[str, Any]()
        for line in self._lines(end):
            try:
                block = _ROWS(line.decode("ascii"))
                count += len(block)
            except (ValueError, TypeError, KeyError) as error:
                raise self._damaged() from error
            yield block
        if end["rows"] != count:
            raise self._damaged()
        facts |= end["facts"]

    def _lines(self, end: dict[str, Any]) -> Iterator[bytes]:
        """The lines of rows; ``end`` then holds the last line."""
        last = b""
        with self._open() as stream:
            checksum = zlib.crc32(stream.readline())
            for line in stream:
                if last:
                    checksum = zlib.crc32(last, checksum)
                    yield last
                last = line
        end |= self._read(last, dict)
        if end.get("crc32") != checksum:
            raise self._damaged()

    def _open(self) -> IO[bytes]:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise MoleblendError(f"{self.path} cannot be read ({error.strerror or error})") from error

    def _read(self, line: bytes, kind: type) -> Any:  # noqa: ANN401  plain values
        try:
            value = json.loads(line)
        except ValueError as error:
            raise self._damaged() from error
        if not isinstance(value, kind):
            raise self._damaged()
        return value

    def _damaged(self) -> MoleblendError:
        return MoleblendError(f"{self.path} is damaged: remove it and run the command again")


def _plain(cell: object) -> dict[str, Any]:
    """An array as its shape and bytes, in base64.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(cell, np.ndarray):
        raise TypeError(f"a cell of type {type(cell).__name__}")
    values = np.ascontiguousarray(cell, "<f4")
    return {"shape": list(values.shape), "float32": base64.b64encode(values.tobytes()).decode("ascii")}


def _array(value: dict[str, Any]) -> Float32Array:
    found: Float32Array = np.frombuffer(base64.b64decode(value["float32"]), "<f4").reshape(value["shape"])
    return found


_JSON: Final = json.JSONEncoder(separators=(",", ":"), default=_plain).encode
_ROWS: Final = json.JSONDecoder(object_hook=_array).decode
