"""Parquet files as tables: a cell is the text that the equal CSV has (pandas' ``to_csv``).

They are read batch by batch, by pyarrow (extra ``parquet``). Columns of nested types (lists, structs, maps)
are no cells: they are left out, and noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.chem.readers.table_text import LOOK_AHEAD, TableRow, column_name
from moleblend_plugin.chem.readers.text_files import LOST
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import write_names

MAGIC: Final = b"PAR1"
"""First bytes of a Parquet file."""

_BATCH: Final = 4096
"""Rows that are held as text."""
_BUFFER: Final = 1 << 20
"""Bytes of a column that are read at a time: a row group may be the whole file."""


class ParquetTable:
    """What :class:`~moleblend_plugin.chem.readers.table_text.Table` is of text.

    Args:
        path: the file.
        shown: its name, for messages.
        add_note: called with what a user should know.
        on_rows: told what part of the rows is read, 0 to 1.

    Attributes:
        header: names of the columns, without the blanks around them.
        nested: of the columns that are left out, the type by name.

    Raises:
        MoleblendError: pyarrow is missing, or the file is none of Parquet or damaged.
    """

    def __init__(
        self,
        path: Path,
        shown: str,
        add_note: Callable[[str], None],
        on_rows: Callable[[float], None] = lambda done: None,
    ) -> None:
        self._path, self._shown, self._add_note, self._on_rows = path, shown, add_note, on_rows
        with _opened(path, shown) as file:
            self._count: int = file.metadata.num_rows
            fields = list(file.schema_arrow)
        kept = [place for place, field in enumerate(fields) if not _is_nested(field.type)]
        self.header = [column_name(fields[place].name) for place in kept]
        self._kept = kept
        self._columns = None if len(kept) == len(fields) else [fields[place].name for place in kept]
        self.nested = {column_name(field.name): str(field.type) for field in fields if _is_nested(field.type)}

    def rows(self, is_sound: Callable[[list[str]], bool]) -> Iterator[TableRow]:
        """Every row, also one whose cells are all empty; lines are those of the equal CSV.

        Args:
            is_sound: not asked: cells are told apart.
        """
        if self.nested:
            names = write_names(list(self.nested), ", ")
            self._add_note(f"has columns of lists or other nested types, which are left out: {names}")
        width, row = len(self.header), 0
        for cells in self._batches(_BATCH):
            for line, texts in enumerate(cells, row + 2):
                if any("\0" in text for text in texts):
                    bare = [text.replace("\0", "") for text in texts]
                    yield TableRow(line, bare, 0, f"zero byte: line {line}", ",".join(bare)[:500])
                else:
                    yield TableRow(line, texts, width)
            row += len(cells)
            self._on_rows(row / self._count)

    @cached_property
    def first_rows(self) -> list[list[str]]:
        """Cells of some rows, by which numbers with decimal commas are known."""
        return next(self._batches(LOOK_AHEAD), [])

    def _batches(self, size: int) -> Iterator[list[list[str]]]:
        """Cells of the next rows."""
        with _opened(self._path, self._shown) as file:
            for batch in file.iter_batches(size, columns=self._columns, use_threads=False):
                texts = [self._texts(column) for column in batch.columns]
                yield list(map(list, zip(*texts, strict=True)))

    def _texts(self, column: Any) -> list[str]:  # noqa: ANN401  an array of pyarrow
        """Values as text, "" for a missing one."""
        arrow, _ = _pyarrow(self._shown)
        types = arrow.types
        if isinstance(column.type, arrow.BaseExtensionType):
            column = column.storage
        if types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        if types.is_string(kind) or types.is_large_string(kind):
            try:
                return [value or "" for value in column.to_pylist()]
            except UnicodeDecodeError:
                column = column.cast(arrow.large_binary() if types.is_large_string(kind) else arrow.binary())
                return self._decoded(column.to_pylist())
        if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
            return self._decoded(column.to_pylist())
        if types.is_floating(kind):  # of 32 bits the shortest text that gives them back
            write = repr if types.is_float64(kind) else str
            values = column.to_numpy(zero_copy_only=False)
            values = values.tolist() if types.is_float64(kind) else values
            return ["" if value != value else write(value) for value in values]
        if types.is_timestamp(kind):
            return _times(column, arrow)
        return ["" if value is None else str(value) for value in column.to_pylist()]

    def _decoded(self, values: list[bytes | None]) -> list[str]:
        """Bytes as UTF-8, which other writers of Parquet do not say that they are."""
        texts = ["" if value is None else value.decode("utf-8", "replace") for value in values]
        if any(LOST in text for text in texts):
            self._add_note("has bytes that are no UTF-8: write text as strings")
        return texts


def count_rows(path: Path) -> int:
    """Rows of a file, from what it says of itself."""
    with _opened(path, str(path)) as file:
        count: int = file.metadata.num_rows
    return count


def _times(column: Any, arrow: Any) -> list[str]:  # noqa: ANN401  an array of pyarrow, and its module
    """Points in time as ``2026-11-30 05:00:00``, with a fraction where there is one, and ``+00:00``."""
    zone = "" if column.type.tz is None else "+00:00"
    texts = column.cast(arrow.timestamp(column.type.unit)).cast(arrow.string()).to_pylist()
    return ["" if text is None else _without_zeros(text) + zone for text in texts]


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _is_nested(kind: Any) -> bool:  # noqa: ANN401  a type of pyarrow
    import pyarrow

    storage = kind.storage_type if isinstance(kind, pyarrow.BaseExtensionType) else kind
    inner = storage.value_type if pyarrow.types.is_dictionary(storage) else storage
    found: bool = pyarrow.types.is_nested(inner)
    return found


@contextmanager
def _opened(path: Path, shown: str) -> Iterator[Any]:
    """The file, open; what pyarrow raises inside the block says that it is damaged."""
    arrow, parquet = _pyarrow(shown)
    try:
        with path.open("rb") as raw:
            start = raw.read(len(MAGIC))
            if start != MAGIC:
                what = f"begins with {start!r}" if start else "is empty"
                raise MoleblendError(f"{shown} is no Parquet file: it {what}; check what it is, and its name")
        options = {"buffer_size": _BUFFER, "pre_buffer": False, "page_checksum_verification": True}
        with parquet.ParquetFile(path, **options) as file:
            yield file
    except (arrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise MoleblendError(f"{shown} is damaged or truncated ({reason}); copy it again") from error


def _pyarrow(shown: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MoleblendError(
            f"{shown} is a Parquet file, which needs the package pyarrow: pip install pyarrow, or write a CSV"
        ) from error
    return pyarrow, pyarrow.parquet
