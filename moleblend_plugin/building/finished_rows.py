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

_DISK: Final = {
    *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL),
    sqlite3.SQLITE_CANTOPEN,
}
"""Errors of SQLite that are the disk's; others say that the file is damaged."""

_SCHEMA: Final = {"CREATE TABLE chunks (number INTEGER PRIMARY KEY, rows)"} | {
    f"CREATE TABLE {table} (place INTEGER PRIMARY KEY, crc, "
    + ", ".join(f'"{name}"' for name in kind._fields)
    + ")"
    for kind, table in _TABLES.items()
}

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
        try:
            self.sql = sqlite3.connect(f"{self.path.absolute().as_uri()}{vfs}", uri=True)
        except sqlite3.Error as error:
            self._explain(error)
        self.sql.text_factory = lambda text: text.decode("utf-8", "replace")  # checksums tell of changed text
        try:
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
                self.sql.execute(f"PRAGMA {pragma}")
            held = {sql for (sql,) in self.sql.execute("SELECT sql FROM sqlite_master")}
            for statement in _SCHEMA - held:
                self.sql.execute(statement)
            if held - _SCHEMA:
                raise sqlite3.DatabaseError("tables of another form")
            self._take_chunks()
            for kind, table in _TABLES.items():
                (self.counts[kind],) = self.sql.execute(f"SELECT count(*) FROM {table}").fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # names in a damaged file
            self.sql.close()
            self._explain(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sql.close()
        self._explain(error if isinstance(error, sqlite3.Error) else None)

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
        places = range(number * _PLACES, (number + 1) * _PLACES)
        with self.sql:
            for kind, table in _TABLES.items():
                marks = ", ".join("?" * (2 + len(kind._fields)))
                rows = (
                    (place, _crc(place, outcome), *outcome)
                    for place, outcome in zip(places, outcomes, strict=False)
                    if type(outcome) is kind
                )
                self.sql.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            self.sql.execute("INSERT INTO chunks VALUES (?, ?)", (number, len(outcomes)))
        self._chunks.add(number)
        self.counts.update(map(type, outcomes))
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

    def without_values(self) -> Iterator[Molecule]:
        """All molecules in the order of their rows, without their records; what is read is not checked."""
        wanted = ", ".join(f'"{name}"' for name in Molecule._fields[:-1])
        found = self.sql.execute(f"SELECT {wanted} FROM molecules ORDER BY place")
        return (Molecule._make((*fields, b"")) for fields in found)

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
            if crc != _crc(place, outcome):
                self._forget(place // _PLACES)
                raise MoleblendError(
                    f"{self.path} cannot be read back (a damaged disk?); run the command again: what is "
                    "whole in it is kept"
                )
            yield outcome

    def _take_chunks(self) -> None:
        """Note the chunks that are there as a whole, and forget the others: a damaged disk cut them."""
        sizes = dict(self.sql.execute("SELECT number, rows FROM chunks"))
        places = " UNION ALL ".join(f"SELECT place FROM {table}" for table in _TABLES.values())
        found = dict(self.sql.execute(f"SELECT place / {_PLACES}, count(*) FROM ({places}) GROUP BY 1"))
        for number in sizes.keys() | found.keys():
            if sizes.get(number) == found.get(number):
                self._chunks.add(number)
            else:
                self._forget(number)

    def _forget(self, number: int) -> None:
        with self.sql:
            self.sql.execute("DELETE FROM chunks WHERE number = ?", (number,))
            for table in _TABLES.values():
                self.sql.execute(f"DELETE FROM {table} WHERE place / ? = ?", (_PLACES, number))

    def _explain(self, error: BaseException | None) -> None:
        """Raise what an error of SQLite means: a disk that cannot be written, or a file that is damaged."""
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK:
            raise OSError(f"{self.path}: {error}") from error
        if isinstance(error, sqlite3.Error | UnicodeDecodeError):
            remove(self.path)
            raise MoleblendError(
                f"{self.path} cannot be read back (a damaged disk?): it is removed; run the command again, "
                "which starts from the beginning"
            ) from error


def remove(path: Path) -> None:
    """Remove the file and what SQLite keeps beside it."""
    for ending in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):
            path.with_name(path.name + ending).unlink()


def _crc(place: int, outcome: Outcome) -> int:
    return zlib.crc32(marshal.dumps((place, *outcome), 2))
