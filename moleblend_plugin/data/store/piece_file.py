"""A piece of a build on disk: a store of its molecules, and the facts that joining needs of all its rows.

An LMDB file with the keys of a store, and::

    __facts__0000000000   zlib of msgpack: what kind of rows, and the rows, as plain values
    __hash__              of all records and facts
    __piece__             msgpack: which piece of which build

It appears under its name when it is whole. Every value is sealed (``checksum.seal``).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import lmdb
import msgpack

from moleblend_plugin.data.store.checksum import unseal
from moleblend_plugin.data.store.environment import check_length, open_environment
from moleblend_plugin.data.store.meta import record_key
from moleblend_plugin.data.store.pieces import HASH_KEY, content_hash
from moleblend_plugin.data.store.writer import StoreWriter
from moleblend_plugin.errors import MoleblendError

PIECE_KEY: Final = b"__piece__"
_FACTS: Final = b"__facts__"


class PieceWriter(StoreWriter):
    """Context manager that writes a piece: first its records, then its facts.

    Attributes:
        head: which piece of which build, plain values; fill it before the writer closes.
    """

    def __init__(self, path: Path, *, settings: dict[str, Any], target_names: tuple[str, ...]) -> None:
        super().__init__(path, settings=settings, sources={}, target_names=target_names, split="piece")
        self.head: dict[str, Any] = {}
        self._blocks = 0
        self._hash = blake2b(digest_size=16)

    def add_encoded(self, value: bytes, n_atoms: int) -> None:
        """Append a record."""
        self._take_in(record_key(len(self)), value)
        super().add_encoded(value, n_atoms)

    def add_facts(self, kind: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append facts of some rows."""
        key, content = _facts_key(self._blocks), msgpack.packb([kind, list(rows)], use_bin_type=True)
        self._take_in(key, content)
        self._seal(key, zlib.compress(content, 1))
        self._blocks += 1

    def put_last(self) -> None:
        """Write the hash, the metadata and the head."""
        self._seal(HASH_KEY, self._hash.hexdigest().encode())
        super().put_last()
        self._seal(PIECE_KEY, msgpack.packb(self.head, use_bin_type=True))

    def _take_in(self, key: bytes, content: bytes) -> None:
        self._hash.update(b"%s%d:" % (key, len(content)))
        self._hash.update(content)


def as_read_back(head: dict[str, Any]) -> dict[str, Any]:
    """A head as a piece gives it: lists for tuples."""
    held: dict[str, Any] = msgpack.unpackb(msgpack.packb(head, use_bin_type=True), raw=False)
    return held


def _facts_key(block: int) -> bytes:
    return b"%s%010d" % (_FACTS, block)


class PieceFile:
    """Reads a piece for joining; the file is open while something is read from it.

    Args:
        path: the file.

    Attributes:
        head: what :attr:`PieceWriter.head` was.
        hash: of its content.

    Raises:
        MoleblendError: it is no piece, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise MoleblendError(f"{path} does not exist: name pieces that moleblend build --piece made")
        try:
            opened = open_environment(path)
            check_length(opened, path, _REMEDY)
            with opened.lmdb.begin() as txn:
                head = txn.get(PIECE_KEY)
                if head is not None:
                    self.head: dict[str, Any] = msgpack.unpackb(unseal(PIECE_KEY, head), raw=False)
                    self.hash = content_hash(txn)
        except MoleblendError:
            raise
        except (lmdb.Error, OSError, ValueError, msgpack.exceptions.UnpackException) as error:
            raise self._damaged(error) from error
        if head is None:
            raise MoleblendError(f"{path} is no piece: name files that moleblend build --piece made")

    def facts(self) -> Iterator[tuple[str, list[list[Any]]]]:
        """(kind, rows) of every block of facts.

        Raises:
            MoleblendError: one is damaged.
        """
        opened, block = open_environment(self.path), 0
        while True:
            key = _facts_key(block)
            try:
                with opened.lmdb.begin() as txn:
                    value = txn.get(key)
                if value is None:
                    return
                kind, rows = msgpack.unpackb(zlib.decompress(unseal(key, value)), raw=False)
            except (lmdb.Error, ValueError, zlib.error, msgpack.exceptions.UnpackException) as error:
                raise self._damaged(error) from error
            yield kind, rows
            block += 1

    def _damaged(self, error: Exception) -> MoleblendError:
        reason = str(error).removeprefix(f"{self.path}: ")
        return MoleblendError(f"{self.path} cannot be read as a piece ({reason}); {_REMEDY}")


_REMEDY: Final = "copy it again, or remove it and build the piece again"
