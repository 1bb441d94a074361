"""Writes a store: to a temporary name beside the target, renamed only when whole and on disk."""

from __future__ import annotations

from array import array
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from moleblend_plugin.data.lmdb_writer import LmdbWriter
from moleblend_plugin.data.store.checksum import seal
from moleblend_plugin.data.store.meta import META_KEY, N_ATOMS_KEY, StoreMeta, fingerprint, record_key
from moleblend_plugin.data.store.record_codec import encode_record
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import SCHEMA_VERSION, MoleculeRecord
from moleblend_plugin.version import __version__


class StoreWriter(LmdbWriter):
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
        super().__init__(Path(path), append=True)
        self.settings = settings
        self.sources = sources
        self.target_names = target_names
        self.split = split
        self.rejected: Counter[str] = Counter()
        self._sizes = array("H")  # 2 bytes per molecule, the only thing that grows

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
        self._seal(record_key(len(self._sizes)), value)
        self._sizes.append(n_atoms)

    def put_last(self) -> None:
        """Write the metadata and the sizes."""
        self._seal(META_KEY, self._meta().to_bytes())
        self._seal(N_ATOMS_KEY, np.asarray(self._sizes, "<u2").view(np.uint8).data)

    def _seal(self, key: bytes, content: bytes | memoryview) -> None:
        self.put(key, seal(key, content))

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
