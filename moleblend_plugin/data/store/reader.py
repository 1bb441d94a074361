"""Molecules on disk: one LMDB file per split, a metadata record, a reader and a writer.

Layout of ``<split>.lmdb`` (a single file): key = 10 ASCII digits of the index, value = one record
(``record_codec``); ``__meta__`` = msgpack of :class:`StoreMeta`; ``__n_atoms__`` = raw little-endian
uint16 [count], so that batches can be planned by length without reading records. Every value begins
with its checksum (``seal``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import lmdb
import msgpack
import numpy as np

from moleblend_plugin.data.store.checksum import unseal
from moleblend_plugin.data.store.environment import Environment, check_length, open_environment
from moleblend_plugin.data.store.meta import META_KEY, N_ATOMS_KEY, StoreMeta, fingerprint, record_key
from moleblend_plugin.data.store.pieces import PIECES_KEY, Pieces, StoredValue
from moleblend_plugin.data.store.record_codec import decode_record
from moleblend_plugin.data.store.writer import StoreWriter
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import READ_VERSIONS, MoleculeRecord, UInt16Array

__all__ = ["DamagedValue", "MoleculeStore", "StoreMeta", "StoreWriter", "fingerprint"]

_REBUILD: Final = "build it again with `moleblend build`"


class DamagedValue(MoleblendError):
    """One value of a store cannot be read; the text names file, key and reason. The others may be fine."""


def is_store(path: Path) -> bool:
    """Whether an LMDB file is a store, by its metadata record.

    Raises:
        MoleblendError: it is truncated, or cannot be read.
    """
    try:
        environment = open_environment(path)
        check_length(environment, path, "copy it again")
        with environment.lmdb.begin() as txn:
            return txn.get(META_KEY) is not None
    except (lmdb.Error, OSError) as error:
        raise MoleblendError(f"{path} cannot be read as an LMDB file ({error}); copy it again") from error


class MoleculeStore:
    """Reads a store written by :class:`StoreWriter`, or one of many pieces (``data.store.pieces``).

    The file is opened on first use in each process, so a reader may cross a fork and may be pickled
    (spawned workers get the path). Any number of readers of one file may live in a process.

    Args:
        path: the ``.lmdb`` file.

    Raises:
        MoleblendError: no such file, not a store, truncated, or written with another schema.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._env: Environment | None = None
        if not self.path.exists():
            raise MoleblendError(f"{self.path} does not exist; check the path or {_REBUILD}")
        if not self.path.is_file():
            raise MoleblendError(f"{self.path} is not a file; name a .lmdb file inside it")
        environment = self._environment()
        check_length(environment, self.path, f"copy it again or {_REBUILD}")
        try:
            with environment.lmdb.begin() as txn:
                meta, pieces = txn.get(META_KEY), txn.get(PIECES_KEY)
            self.meta: StoreMeta = self._read_meta(meta)
            with environment.lmdb.begin(buffers=True) as txn:  # copied once: of 10^9 molecules 2 GB
                self.n_atoms: UInt16Array = self._read_n_atoms(txn.get(N_ATOMS_KEY))
        except lmdb.Error as error:
            raise self._unreadable(error) from error
        self.pieces: Pieces | None = None if pieces is None else self._read_pieces(pieces)

    def __len__(self) -> int:
        return self.meta.count

    def __getitem__(self, index: int) -> MoleculeRecord:
        """Record ``index``; negative indices count from the end.

        Raises:
            IndexError: beyond the store.
            DamagedValue: the stored value is missing or damaged.
        """
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"{self.path} holds {len(self)} molecules, no number {index}")
        path, key, value = self._stored(position)
        if value is None:
            raise DamagedValue(f"{path} has no value for key {key.decode()}; {_REBUILD}")
        try:
            return decode_record(unseal(key, value))
        except ValueError as error:
            raise _damaged(path, key, error) from error

    def _stored(self, position: int) -> StoredValue:
        key = record_key(position)
        try:
            if self.pieces is not None:
                return self.pieces.read(position)
            with self._environment().lmdb.begin() as txn:
                return StoredValue(self.path, key, txn.get(key))
        except MoleblendError:
            raise
        except (lmdb.Error, ValueError) as error:  # a damaged page between the file's head and the value
            raise _damaged(self.path, key, error) from error

    def __iter__(self) -> Iterator[MoleculeRecord]:
        return (self[index] for index in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_env": None}

    def __repr__(self) -> str:
        return f"MoleculeStore({str(self.path)!r}, {len(self)} molecules)"

    def _unreadable(self, reason: Exception) -> MoleblendError:
        return MoleblendError(f"{self.path} cannot be read as a store ({reason}); {_REBUILD}")

    def _environment(self) -> Environment:
        if self._env is None or self._env.pid != os.getpid():
            try:
                self._env = open_environment(self.path)
            except (lmdb.Error, OSError) as error:
                raise self._unreadable(error) from error
        return self._env

    def _read_meta(self, value: bytes | None) -> StoreMeta:
        if value is None:
            raise MoleblendError(
                f"{self.path} is an LMDB file without a {META_KEY.decode()} record, not a store of "
                f"moleblend_plugin; {_REBUILD}"
            )
        try:
            meta = StoreMeta.from_value(value)
        except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
            raise MoleblendError(f"{self.path} has damaged metadata ({error}); {_REBUILD}") from error
        if meta.schema_version not in READ_VERSIONS:
            raise MoleblendError(
                f"{self.path} has schema version {meta.schema_version}, this package reads "
                f"{' and '.join(map(str, READ_VERSIONS))}; {_REBUILD} of this version"
            )
        return meta

    def _read_n_atoms(self, value: memoryview | None) -> UInt16Array:
        try:
            value = unseal(N_ATOMS_KEY, memoryview(value or b""))
        except ValueError as error:
            raise MoleblendError(f"{self.path} has a damaged list of sizes ({error}); {_REBUILD}") from error
        if len(value) != 2 * self.meta.count:
            held = len(value) // 2
            raise MoleblendError(
                f"{self.path} lists sizes of {held} molecules but counts {self.meta.count}; {_REBUILD}"
            )
        return np.frombuffer(value, "<u2").astype(np.uint16)

    def _read_pieces(self, value: bytes) -> Pieces:
        try:
            pieces = Pieces(self.path, value, self._environment)
        except (lmdb.Error, ValueError, TypeError, KeyError) as error:
            raise MoleblendError(f"{self.path} has a damaged list of pieces ({error}); {_REBUILD}") from error
        if len(pieces) != self.meta.count:
            raise MoleblendError(
                f"{self.path} has pieces of {len(pieces)} molecules but counts {self.meta.count}; {_REBUILD}"
            )
        return pieces


def _damaged(path: Path, key: bytes, reason: Exception) -> DamagedValue:
    return DamagedValue(f"{path} has a damaged value for key {key.decode()} ({reason}); {_REBUILD}")
