"""An ``.npz`` larger than memory: columns grow in files beside the target and are packed at the end."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.files import replacing

_COPY: Final = 1 << 20
"""Bytes copied at a time."""
_HELD: Final = 1024
"""Strings of a column that are held in memory."""


class NumberColumn:
    """Numbers of one type; rows have the shape ``row_shape``."""

    def __init__(self, path: Path, dtype: str, row_shape: tuple[int, ...] = ()) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._row_shape = row_shape
        self._stream: IO[bytes] = path.open("wb")
        self.rows = 0

    def extend(self, rows: npt.ArrayLike) -> None:
        """Append rows [n, *row_shape]."""
        block = np.ascontiguousarray(rows, self._dtype).reshape(-1, *self._row_shape)
        self._stream.write(block.tobytes())
        self.rows += len(block)

    def pack(self, target: IO[bytes]) -> None:
        """Write the whole column as ``.npy``."""
        self._stream.close()
        _header(target, self._dtype, (self.rows, *self._row_shape))
        with self._path.open("rb") as source:
            shutil.copyfileobj(source, target, _COPY)


class TextColumn:
    """Strings; in the array they have the width of the longest. No file stays open: there may be hundreds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.touch()
        self._held: list[str] = []
        self._width = 1
        self.rows = 0

    def append(self, text: str) -> None:
        """Append one string."""
        self._held.append(text)
        self._width = max(self._width, len(text))
        self.rows += 1
        if len(self._held) >= _HELD:
            self._flush()

    def _flush(self) -> None:
        with self._path.open("a", encoding="utf-8", newline="\n") as stream:
            stream.writelines(json.dumps(text) + "\n" for text in self._held)  # line ends are escaped
        self._held = []

    def pack(self, target: IO[bytes]) -> None:
        """Write the whole column as ``.npy``."""
        self._flush()
        dtype = np.dtype(f"<U{self._width}")
        _header(target, dtype, (self.rows,))
        with self._path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                target.write(np.array(json.loads(line), dtype).tobytes())


class ArrayFile:
    """Columns of one ``.npz``, by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.columns: dict[str, NumberColumn | TextColumn] = {}

    def numbers(self, name: str, dtype: str, row_shape: tuple[int, ...] = ()) -> NumberColumn:
        """A new column of numbers."""
        column = self.columns[name] = NumberColumn(self._new_file(), dtype, row_shape)
        return column

    def text(self, name: str) -> TextColumn:
        """A new column of strings."""
        column = self.columns[name] = TextColumn(self._new_file())
        return column

    def _new_file(self) -> Path:
        """A file of a number: columns are named by the user's table."""
        return self._folder / str(len(self.columns))


@contextmanager
def open_arrays(path: Path) -> Iterator[ArrayFile]:
    """An ``.npz`` at ``path``; it appears whole when the block ends well.

    Raises:
        MoleblendError: it cannot be written.
    """
    with replacing(path) as temporary, TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        arrays = ArrayFile(Path(folder))
        yield arrays
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name, column in arrays.columns.items():
                entry = zipfile.ZipInfo(f"{name}.npy")
                if isinstance(column, TextColumn):  # mostly padding
                    entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w", force_zip64=True) as member:
                    column.pack(member)


def _header(target: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_2_0(target, {"descr": descr, "fortran_order": False, "shape": shape})
