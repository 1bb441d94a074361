"""LMDB files for writing: the map grows when it is full, and a new file appears whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import lmdb

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import put_in_place

FIRST_MAP_BYTES: Final = 1 << 26
"""First size of LMDB's map (64 MiB); it doubles when full. The file itself only grows as written."""

_BATCH: Final = 1000
"""Values per transaction: few syncs, and a full map repeats little work."""


def put_all(
    environment: Any,  # noqa: ANN401  lmdb has no types
    values: Sequence[tuple[bytes, bytes]],
    append: bool = False,
) -> None:
    """Put all in one transaction.

    Args:
        environment: of LMDB.
        values: (key, value).
        append: whether keys come sorted, behind those that are there.
    """
    while True:
        try:
            with environment.begin(write=True) as txn, txn.cursor() as cursor:
                cursor.putmulti(values, append=append)
            return
        except lmdb.MapFullError:  # the transaction is undone: more room, once again
            environment.set_mapsize(2 * environment.info()["map_size"])


class LmdbWriter:
    """Context manager that makes an LMDB file under a temporary name beside its own, renamed at the end.

    Args:
        path: the file; its folder must exist. An existing file is replaced on success.
        append: whether keys come sorted.

    Raises:
        MoleblendError: the folder cannot be written to, or the disk is full.
    """

    def __init__(self, path: Path, append: bool = False) -> None:
        self.path = path
        self._append = append
        self._waiting: list[tuple[bytes, bytes]] = []
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
        self._env: Any = None

    def __enter__(self) -> Self:
        try:
            with self._refusing():
                self._env = lmdb.open(
                    str(self._temporary),
                    subdir=False,
                    lock=False,  # the name is ours alone
                    map_size=FIRST_MAP_BYTES,
                    meminit=False,
                    readahead=False,
                    sync=False,  # one fsync at the end: an interrupted file is thrown away anyway
                )
        except MoleblendError:
            self._discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.put_last()
                self._flush()
                with self._refusing():
                    self._env.sync(True)
                    self._env.close()
                    put_in_place(self._temporary, self.path)
        finally:
            self._discard()

    def put(self, key: bytes, value: bytes) -> None:
        """Write a value, soon."""
        self._waiting.append((key, value))
        if len(self._waiting) >= _BATCH:
            self._flush()

    def put_last(self) -> None:
        """Write what is known at the end only."""

    def _flush(self) -> None:
        with self._refusing():
            put_all(self._env, self._waiting, self._append)
        self._waiting = []

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (lmdb.Error, OSError) as error:
            text = str(error).removeprefix(f"{self._temporary}: ")
            raise MoleblendError(
                f"cannot write {self.path} ({text}); name a folder that can be written to and has free space"
            ) from error

    def _discard(self) -> None:
        """Close and remove the temporary file; after success there is none left."""
        if self._env is not None:
            self._env.close()
        if self._temporary.parent.is_dir():
            self._temporary.unlink(missing_ok=True)
