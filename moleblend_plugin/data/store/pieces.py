"""Stores whose records lie in other files: a manifest names them, and where each of its molecules is.

A manifest is an LMDB file as every store, with ``__meta__`` and ``__n_atoms__`` but without records::

    __pieces__            JSON: of every piece its ``file`` (seen from the manifest's folder), ``count`` of
                          molecules that this store takes of it, and ``hash`` of its content; and ``block``
    __index__0000000000   uint32 [up to ``block``]: number in its piece of each of the first molecules, then
                          of the next; absent where ``block`` is 0: all molecules of all pieces

Molecules of a store stand in the order of the pieces. Every value is sealed (``checksum.seal``).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple

import lmdb
import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.store.checksum import unseal
from moleblend_plugin.data.store.environment import (
    Environment,
    check_length,
    close_recent,
    recent_environment,
)
from moleblend_plugin.data.store.meta import record_key
from moleblend_plugin.errors import MoleblendError

PIECES_KEY: Final = b"__pieces__"
HASH_KEY: Final = b"__hash__"
"""Of a piece: hash of its content, hexadecimal."""

INDEX_BLOCK: Final = 1000
"""Molecules whose places are one value of the index: of a size that fills a page of LMDB."""

REMEDY: Final = "bring it back, or run `moleblend join` again"


@dataclass(frozen=True, slots=True)
class PieceOfStore:
    """What a manifest says about one of its files.

    Attributes:
        file: seen from the manifest's folder, with ``/``.
        count: molecules of it that the store has.
        hash: of its content.
    """

    file: str
    count: int
    hash: str


def index_key(block: int) -> bytes:
    """Key of a block of the index."""
    return b"__index__%010d" % block


def content_hash(txn: Any) -> str:  # noqa: ANN401  lmdb has no types
    """Hash of the content of a piece, "" where the file is none.

    Raises:
        ValueError: it is damaged.
    """
    value = txn.get(HASH_KEY)
    return "" if value is None else unseal(HASH_KEY, value).decode("ascii")


class StoredValue(NamedTuple):
    """A value as it is stored: the file and key, and the value, ``None`` where there is none."""

    path: Path
    key: bytes
    value: bytes | None


class Pieces:
    """The files of a manifest, opened when they are read and closed again.

    Args:
        manifest: the store.
        value: what stands under ``PIECES_KEY``.
        environment: gives the store, open in this process. Its index is read block by block.

    Raises:
        ValueError: ``value`` is damaged.
    """

    def __init__(self, manifest: Path, value: bytes, environment: Callable[[], Environment]) -> None:
        self.manifest = manifest
        held = json.loads(unseal(PIECES_KEY, value))
        self.files = tuple(PieceOfStore(**piece) for piece in held["pieces"])
        folder = manifest.resolve().parent
        self.paths = tuple(Path(folder, piece.file).resolve() for piece in self.files)
        self._starts = [0, *accumulate(piece.count for piece in self.files)]
        self._environment = environment
        self._block: int = held["block"]
        self._last: tuple[int, npt.NDArray[np.uint32]] = (-1, np.empty(0, np.uint32))

    def __len__(self) -> int:
        """Molecules in all."""
        return self._starts[-1]

    def read(self, position: int) -> StoredValue:
        """Where molecule ``position`` is stored, and its value.

        Args:
            position: in the store.

        Raises:
            MoleblendError: its file is gone, was replaced or cannot be read; the index is damaged.
            ValueError: a page of the piece is damaged.
        """
        number = bisect_right(self._starts, position) - 1
        place = self._place(position) if self._block else position - self._starts[number]
        path, key = self.paths[number], record_key(place)
        opened = self._open(number)
        try:
            with opened.lmdb.begin() as txn:
                value = txn.get(key)
        except lmdb.Error as error:
            raise ValueError(f"{path}: {error}") from error
        if position + 1 == self._starts[number + 1]:
            close_recent(path)  # who reads in order needs it no more: its pages leave the memory
        return StoredValue(path, key, value)

    def _place(self, position: int) -> int:
        """Number of a molecule in its piece."""
        wanted, inside = divmod(position, self._block)
        block, places = self._last
        if block != wanted:
            places = self._read_block(wanted)
            self._last = wanted, places
        return int(places[inside])

    def _read_block(self, block: int) -> npt.NDArray[np.uint32]:
        key = index_key(block)
        try:
            with self._environment().lmdb.begin() as txn:
                places = np.frombuffer(unseal(key, txn.get(key) or b""), "<u4")
            if len(places) != min(self._block, len(self) - block * self._block):
                raise ValueError("it is too short")
        except (lmdb.Error, ValueError) as error:  # not one damaged row, but all of the block
            raise MoleblendError(
                f"{self.manifest} has a damaged index, block {block} ({error}): run `moleblend join` again"
            ) from error
        return places

    def _open(self, number: int) -> Environment:
        path = self.paths[number]
        try:
            return recent_environment(path, lambda opened: self._check(opened, number))
        except FileNotFoundError:
            raise MoleblendError(f"{self.manifest} needs {path}, which is not there: {REMEDY}") from None
        except (lmdb.Error, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ")
            raise MoleblendError(
                f"{self.manifest} needs {path}, which cannot be read ({reason}): {REMEDY}"
            ) from error

    def _check(self, opened: Environment, number: int) -> None:
        """Refuse a file that is another than the one that was joined."""
        path = self.paths[number]
        check_length(opened, path, REMEDY)
        with opened.lmdb.begin() as txn:
            try:
                found = content_hash(txn)
            except ValueError as error:
                raise MoleblendError(f"{path} has a damaged hash ({error}): {REMEDY}") from error
        if found != self.files[number].hash:
            raise MoleblendError(
                f"{self.manifest} was joined of another {path} than the one that is there now: {REMEDY}"
            )
