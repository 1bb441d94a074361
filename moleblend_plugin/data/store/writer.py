"""Writes a store: to a temporary name beside the target, renamed only when whole and on disk."""

from __future__ import annotations

import secrets
from array import array
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import lmdb
import numpy as np

from moleblend_plugin.data.store.checksum import seal
from moleblend_plugin.data.store.meta import META_KEY, N_ATOMS_KEY, StoreMeta, fingerprint, record_key
from moleblend_plugin.data.store.record_codec import encode_record
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import put_in_place
from moleblend_plugin.schema import SCHEMA_VERSION, MoleculeRecord
from moleblend_plugin.version import __version__

_FIRST_MAP_BYTES: Final = 1 << 26
"""First size of LMDB's map (64 MiB); it doubles when full. The file itself only grows as written."""

_BATCH: Final = 1000
"""Records per transaction: few syncs, and a full map repeats little work."""


class StoreWriter:
    """Context manager that writes records in the order given; a good old store stays until the end.

    Args:
        path: the ``.lmdb`` file to make; its folder must exist. An existing file is replaced on success.
        settings: everything that determines the content, plain values; fingerprinted.
        sources: sha256 of every input file, by file name.
        target_names: names of the columns of the records' targets.
        split: "train", "valid" or "test".

    Attributes:
        rejected: rejected rows by reason; fill it before the writer closes.

    Raises:
        MoleblendError: the folder cannot be written to, or the disk is full.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        settings: dict[str, Any],
        sources: dict[str, str],
        target_names: tuple[str, ...] = (),
        split: str = "train",
    ) -> None:
        self.path = Path(path)
        self.settings = settings
        self.sources = sources
        self.target_names = target_names
        self.split = split
        self.rejected: Counter[str] = Counter()
        self._sizes = array("H")  # 2 bytes per molecule, the only thing that grows
        self._waiting: list[tuple[bytes, bytes]] = []
        self._map_bytes = _FIRST_MAP_BYTES
        self._temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(6)}.partial")
        self._env: Any = None

    def __enter__(self) -> StoreWriter:
        try:
            self._env = lmdb.open(
                str(self._temporary),
                subdir=False,
                lock=False,  # the name is ours alone
                map_size=self._map_bytes,
                meminit=False,
                readahead=False,
                sync=False,  # one fsync at the end: an interrupted file is thrown away anyway
            )
        except (lmdb.Error, OSError) as error:
            self._discard()
            raise self._refusal(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, record: MoleculeRecord) -> None:
        """Append ``record``; its index is the number of records before it."""
        if len(record.targets) != len(self.target_names):
            raise MoleblendError(
                f"{record.row_id} has {len(record.targets)} targets, the store has {len(self.target_names)}"
            )
        self.add_encoded(encode_record(record), record.n_atoms)

    def add_encoded(self, value: bytes, n_atoms: int) -> None:
        """Append a record that ``encode_record`` made elsewhere, with the store's number of targets."""
        self._put(record_key(len(self._sizes)), value)
        self._sizes.append(n_atoms)
        if len(self._waiting) >= _BATCH:
            self._flush()

    def _finish(self) -> None:
        self._put(META_KEY, self._meta().to_bytes())
        self._put(N_ATOMS_KEY, np.array(self._sizes, "<u2").tobytes())
        self._flush()
        try:
            self._env.sync(True)
            self._env.close()
            put_in_place(self._temporary, self.path)
        except (lmdb.Error, OSError) as error:
            raise self._refusal(error) from error

    def _put(self, key: bytes, content: bytes) -> None:
        self._waiting.append((key, seal(key, content)))

    def _meta(self) -> StoreMeta:
        return StoreMeta(
            count=len(self._sizes),
            schema_version=SCHEMA_VERSION,
            fingerprint=fingerprint(self.settings),
            settings=self.settings,
            sources=self.sources,
            rejected=self.rejected.total(),
            rejected_by_reason=dict(self.rejected.most_common()),
            target_names=self.target_names,
            split=self.split,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            package_version=__version__,
        )

    def _flush(self) -> None:
        while self._waiting:
            try:
                with self._env.begin(write=True) as txn, txn.cursor() as cursor:
                    cursor.putmulti(self._waiting, append=True)  # keys come sorted
                self._waiting = []
            except lmdb.MapFullError:  # the transaction is undone: more room, once again
                self._map_bytes *= 2
                self._env.set_mapsize(self._map_bytes)
            except (lmdb.Error, OSError) as error:
                raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> MoleblendError:
        text = str(error).removeprefix(f"{self._temporary}: ")
        return MoleblendError(
            f"cannot write {self.path} ({text}); name a folder that can be written to and has free space"
        )

    def _discard(self) -> None:
        """Close and remove the temporary file; after success there is none left."""
        if self._env is not None:
            self._env.close()
        if self._temporary.parent.is_dir():
            self._temporary.unlink(missing_ok=True)
