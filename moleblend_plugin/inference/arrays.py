"""An ``.npz`` larger than memory: columns grow in files beside the target and are packed at the end."""

from __future__ import annotations

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
"""Bytes or strings copied at a time."""


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
    """Strings; in the array they have the width of the longest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("w", encoding="utf-8", newline="\n")
        self._width = 1
        self.rows = 0

    def append(self, text: str) -> None:
        """Append one string; line ends in it become blanks."""
        line = " ".join(text.splitlines())
        self._stream.write(line + "\n")
        self._width = max(self._width, len(line))
        self.rows += 1

    def pack(self, target: IO[bytes]) -> None:
        """Write the whole column as ``.npy``."""
        self._stream.close()
        dtype = np.dtype(f"<U{self._width}")
        _header(target, dtype, (self.rows,))
        with self._path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                target.write(np.array(line[:-1], dtype).tobytes())


class ArrayFile:
    """Columns of one ``.npz``, by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.columns: dict[str, NumberColumn | TextColumn] = {}

    def numbers(self, name: str, dtype: str, row_shape: tuple[int, ...] = ()) -> NumberColumn:
        """A new column of numbers."""
        column = self.columns[name] = NumberColumn(self._folder / name, dtype, row_shape)
        return column

    def text(self, name: str) -> TextColumn:
        """A new column of strings."""
        column = self.columns[name] = TextColumn(self._folder / name)
        return column


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
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    column.pack(member)


def _header(target: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_2_0(target, {"descr": descr, "fortran_order": False, "shape": shape})
