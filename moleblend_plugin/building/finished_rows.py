"""Finished rows of a build that is under way, in an SQLite file (WAL mode) that survives any end of it.

A chunk of outcomes is one transaction: it is there as a whole or not at all, also after a kill. What the file
system lost or changed is found out by SQLite's own checks and by a checksum of every row.
"""

from __future__ import annotations

import marshal
import os
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TypeVar

from moleblend_plugin.building.outcomes import Excluded, Molecule, Outcome, Rejected
from moleblend_plugin.errors import MoleblendError

_TABLES: Final[dict[type[Outcome], str]] = {Molecule: "molecules", Rejected: "rejected", Excluded: "excluded"}
_Kind = TypeVar("_Kind", Molecule, Rejected, Excluded)

_SYNC_SECONDS: Final = 2.0
"""Work that a power cut may cost; a process that dies loses none of what was committed."""

_PLACES: Final = 1 << 20
"""A row's place is the number of its chunk times this, plus its number in the chunk."""


class FinishedRows:
    """The file, open for adding. A context manager; one process at a time (the caller holds a lock).

    Attributes:
        counts: outcomes in it, by their type.
        sql: the connection, for queries of one's own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[type[Outcome]] = Counter()
        self._chunks: set[int] = set()
        self._synced = time.monotonic()

    def __enter__(self) -> FinishedRows:
        # The folder's lock keeps others out: SQLite needs none, nor shared memory, which network disks lack.
        vfs = "?vfs=unix-none" if os.name == "posix" else ""
        self.sql = sqlite3.connect(f"{self.path.absolute().as_uri()}{vfs}", uri=True)
        try:
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
                self.sql.execute(f"PRAGMA {pragma}")
            for kind, table in _TABLES.items():
                columns = ", ".join(f'"{name}"' for name in kind._fields)
                self.sql.execute(
                    f"CREATE TABLE IF NOT EXISTS {table} (place INTEGER PRIMARY KEY, crc, {columns})"
                )
            self.sql.execute("CREATE TABLE IF NOT EXISTS chunks (number INTEGER PRIMARY KEY)")
            self._chunks.update(number for (number,) in self.sql.execute("SELECT number FROM chunks"))
            for kind, table in _TABLES.items():
                (self.counts[kind],) = self.sql.execute(f"SELECT count(*) FROM {table}").fetchone()
        except sqlite3.DatabaseError as error:
            self.sql.close()
            self._explain(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sql.close()
        self._explain(error)

    def __len__(self) -> int:
        """Outcomes in it."""
        return self.counts.total()

    def __contains__(self, number: int) -> bool:
        """Whether the chunk is there."""
        return number in self._chunks

    def add(self, number: int, outcomes: Sequence[Outcome]) -> None:
        """Append a chunk.

        Raises:
            OSError: the disk is full.
        """
        kinds = Counter(map(type, outcomes))
        with self.sql:
            for kind in kinds:
                marks = ", ".join("?" * (2 + len(kind._fields)))
                rows = (
                    (number * _PLACES + place, _crc(outcome), *outcome)
                    for place, outcome in enumerate(outcomes)
                    if type(outcome) is kind
                )
                self.sql.executemany(f"INSERT INTO {_TABLES[kind]} VALUES ({marks})", rows)
            self.sql.execute("INSERT INTO chunks VALUES (?)", (number,))
        self._chunks.add(number)
        self.counts += kinds
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Bring everything to disk."""
        self.sql.execute("PRAGMA wal_checkpoint")
        self._synced = time.monotonic()

    def molecules(self) -> Iterator[Molecule]:
        """All molecules in the order of their rows.

        Raises:
            MoleblendError: a row changed on disk since it was written, as in the other passes.
        """
        return self._all(Molecule)

    def column(self, name: Literal["row", "group", "row_id"]) -> Iterator[Any]:
        """One value of every molecule, in the order of their rows; ``row_id`` is ``file:row``."""
        wanted = "source || ':' || row" if name == "row_id" else f'"{name}"'
        return (value for (value,) in self.sql.execute(f"SELECT {wanted} FROM molecules ORDER BY place"))

    def rejections(self) -> Iterator[Rejected]:
        """All rejected rows in their order."""
        return self._all(Rejected)

    def exclusions(self) -> Iterator[Excluded]:
        """All excluded rows: those of the split in their order, then those of ``--exclude`` in theirs."""
        return self._all(Excluded, "cause = 'list', ")

    def _all(self, kind: type[_Kind], before: str = "") -> Iterator[_Kind]:
        for place, crc, *fields in self.sql.execute(f"SELECT * FROM {_TABLES[kind]} ORDER BY {before}place"):
            outcome = kind._make(fields)
            if crc != _crc(outcome):
                self._forget(place // _PLACES)
                raise MoleblendError(
                    f"{self.path} cannot be read back (a damaged disk?); run the command again: what is "
                    "whole in it is kept"
                )
            yield outcome

    def _forget(self, number: int) -> None:
        with self.sql:
            self.sql.execute("DELETE FROM chunks WHERE number = ?", (number,))
            for table in _TABLES.values():
                self.sql.execute(f"DELETE FROM {table} WHERE place / ? = ?", (_PLACES, number))

    def _explain(self, error: BaseException | None) -> None:
        """Raise what an error of SQLite means: a disk that cannot be written, or a file that is not whole."""
        if isinstance(error, sqlite3.OperationalError):
            raise OSError(f"{self.path}: {error}") from error
        if type(error) is sqlite3.DatabaseError:
            remove(self.path)
            raise MoleblendError(
                f"{self.path} cannot be read back ({error}; a damaged disk?): it is removed; run the command "
                "again, which starts anew"
            ) from error


def remove(path: Path) -> None:
    """Remove the file and what SQLite keeps beside it."""
    for ending in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):
            path.with_name(path.name + ending).unlink()


def _crc(outcome: tuple[Any, ...]) -> int:
    return zlib.crc32(marshal.dumps(tuple(outcome), 2))
