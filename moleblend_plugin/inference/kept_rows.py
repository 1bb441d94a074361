"""Finished rows of an output that is under way, which the same command finds again after any end of it.

``.NAME.rows`` beside the output ``NAME`` holds::

    work.json          what the rows depend on
    FIRST-STOP.rows    rows FIRST to STOP - 1 of the input: a group of whole windows (inference.part_file)
    NAME               the output, while it is put together

A group is there as a whole or not at all; one that the disk lost or changed is computed again. Rows are
held in memory until their group is whole: an input that is done by then makes no folder.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import put_in_place, replacing
from moleblend_plugin.inference.joined_rows import ArraysHead, write_joined
from moleblend_plugin.inference.outputs import Counts
from moleblend_plugin.inference.part_file import PartReader, open_part
from moleblend_plugin.inference.table_writer import ColumnType
from moleblend_plugin.inference.windows import Span, window_at
from moleblend_plugin.inference.work import Work

GROUP_ROWS: Final = 1 << 14
"""Rows of a group at most, but for the rest of a window."""
GROUP_SECONDS: Final = 30.0
"""Work that a kill may cost: a group ends with the window in which it took so long."""
GROUP_BYTES: Final = 1 << 25
"""Vectors of a group that are held in memory."""

_WORK: Final = "work.json"

Say = Callable[[str], None]


def folder_of(out: Path) -> Path:
    """The folder for the rows of an output."""
    return out.absolute().with_name(f".{out.name}.rows")


class Group(NamedTuple):
    """Rows of the input that are finished: its first, the one behind its last, and their file."""

    first: int
    stop: int
    path: Path


class KeptRows:
    """What is finished of an output; the caller holds the output's lock.

    Args:
        out: the output.
        work: what rows depend on; ``None``: nothing is taken over (and nothing is to be kept).
        head: for an ``.npz``.
        say: tells the user one line.

    Attributes:
        groups: in the order of their rows.
        counts: what became of the rows of groups; in the end, of all.
        fresh: of rows that are finished, but in no group yet (as ``counts`` of ``predict_to_table``).

    Raises:
        MoleblendError: a file was replaced while it was read.
    """

    def __init__(self, out: Path, work: Work | None, head: ArraysHead | None, say: Say) -> None:
        self.out, self._work, self._head, self._say = out, work, head, say
        self.folder = folder_of(out)
        self.groups: list[Group] = []
        self.counts, self.fresh = Counts(), Counts()
        self._table: _HeldTable | None = None
        if self.folder.exists():
            self._take_over()

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Rows that are finished."""
        return [(group.first, group.stop) for group in self.groups]

    @property
    def missing(self) -> list[Span]:
        """The others; the last span is open."""
        starts = [0, *(group.stop for group in self.groups)]
        stops = [*(group.first for group in self.groups), None]
        return [span for span in zip(starts, stops, strict=True) if span[0] != span[1]]

    @contextmanager
    def open(self, path: Path, columns: dict[str, ColumnType]) -> Iterator[_HeldTable]:
        """What takes the rows of ``missing`` (``OpenTable``); the output is there when all is well."""
        self._table = table = _HeldTable(self, columns)
        yield table
        self.counts.take_in(self.fresh.hand_over())
        if not self.groups:
            write_joined(path, columns, table.held, self._head)
            return
        whole = self.folder / path.name
        write_joined(whole, columns, self._all_rows(table.held), self._head)
        try:
            put_in_place(whole, path)
        except OSError as error:
            raise MoleblendError(
                f"cannot write {path} ({error.strerror or error}): choose another place"
            ) from error

    def add(self, first: int, rows: Sequence[Sequence[Any]], facts: dict[str, Any]) -> None:
        """Keep a group.

        Args:
            first: number of its first row.
            rows: its rows.
            facts: what became of them.

        Raises:
            MoleblendError: it cannot be written.
        """
        assert self._table is not None
        if any(group.first == first for group in self.groups):  # Ctrl-C came just after it
            return
        if not self.folder.exists():
            self._begin()
        path = self.folder / f"{first:012d}-{first + len(rows):012d}.rows"
        with open_part(path, self._table.columns, facts=lambda: {"counts": facts}) as part:
            for row in rows:
                part.write(row)
        self.groups = sorted([*self.groups, Group(first, first + len(rows), path)])
        self.counts.take_in(facts)

    def leave(self) -> None:
        """Keep what is finished, and say so; where no later command could use it, remove the folder."""
        if not (self.folder / _WORK).exists():
            self.remove()
            return
        if self._table is not None:
            with suppress(MoleblendError):  # a full disk
                self._table.keep_windows()
        count = sum(group.stop - group.first for group in self.groups)
        self._say(f"{count:,} finished rows are kept in {self.folder}; run the same command again to resume")

    def remove(self) -> None:
        """Remove the folder; what says whose it is first, so that half of it is no one's."""
        with suppress(OSError):
            (self.folder / _WORK).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all_rows(self, held: Sequence[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        for group in self.groups:
            yield from PartReader(group.path).rows({})
        yield from held

    def _begin(self) -> None:
        """Make the folder; without ``work.json`` where a file was replaced since it was read."""
        assert self._work is not None
        try:
            self.folder.mkdir()
            with suppress(MoleblendError):
                asked = self._work.fingerprint()
                with replacing(self.folder / _WORK) as temporary:
                    temporary.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise MoleblendError(f"cannot write {self.folder} ({error.strerror or error})") from error

    def _take_over(self) -> None:
        """Groups of an interrupted command, if they are of this work; else none, with a line that says so."""
        try:
            held = json.loads((self.folder / _WORK).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # ended while it began, or was removed
            held = {}
        asked = {} if self._work is None else self._work.fingerprint()
        if not held or held != asked:
            if held and (count := sum(group.stop - group.first for group in self._found())):
                names = held.keys() | asked.keys() if asked else ["input"]
                changed = ", ".join(sorted(name for name in names if held.get(name) != asked.get(name)))
                self._say(
                    f"starting again: {count:,} finished rows of an interrupted command differ in {changed}"
                )
            self.remove()
            return
        wanted, behind = set(), 0
        for group in self._found():
            with suppress(MoleblendError):  # it is computed again
                facts = PartReader(group.path).facts()
                if group.first >= behind and facts["counts"]["rows"] == group.stop - group.first:
                    self.groups.append(group)
                    self.counts.take_in(facts["counts"])
                    wanted.add(group.path.name)
                    behind = group.stop
        for path in self.folder.iterdir():  # also what a kill left unfinished
            if path.name not in {_WORK, *wanted}:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _found(self) -> list[Group]:
        """The files of groups, in the order of their rows."""
        found = []
        for path in self.folder.glob("*-*.rows"):
            first, _, stop = path.stem.partition("-")
            if first.isdecimal() and stop.isdecimal():
                found.append(Group(int(first), int(stop), path))
        return sorted(found)


class _HeldTable:
    """Takes rows of spans, as ``table_writer.TableWriter`` does, and has them kept in groups.

    Attributes:
        columns: type of every column, by name.
        held: rows that are in no group.
    """

    def __init__(self, kept: KeptRows, columns: dict[str, ColumnType]) -> None:
        self.columns = columns
        self.held: list[Sequence[Any]] = []
        self._kept = kept
        self._spans = iter(kept.missing)
        self._vectors = [
            place for place, kind in enumerate(columns.values()) if kind in ("vector", "vectors")
        ]
        self._counts: dict[str, Any] = {}  # of whole windows among them
        self._first = self._row = self._window_stop = 0
        self._stop: int | None = None
        self._whole = self._bytes = 0
        self._began = 0.0
        self._next_span()

    def write(self, row: Sequence[Any]) -> None:
        """Add the next row, which is counted already."""
        self.held.append(row)
        for place in self._vectors:
            self._bytes += 0 if row[place] is None else row[place].nbytes
        self._row += 1
        if self._row == self._window_stop:
            self._end_window()

    def keep_windows(self) -> None:
        """Keep all whole windows as a group."""
        if self._whole:
            self._kept.add(self._first, self.held[: self._whole], self._counts)
            self._whole = 0

    def _end_window(self) -> None:
        self._whole, self._counts = len(self.held), self._kept.fresh.to_plain()
        if (
            self._row == self._stop
            or self._whole >= GROUP_ROWS
            or self._bytes >= GROUP_BYTES
            or time.monotonic() - self._began >= GROUP_SECONDS
        ):
            self.keep_windows()
            self._kept.fresh.hand_over()
            if self._row == self._stop:
                self._next_span()
                return
            self._begin_group(self._row)
        self._window_stop = sum(window_at(self._row))

    def _next_span(self) -> None:
        first, self._stop = next(self._spans)
        self._begin_group(first)
        self._window_stop = sum(window_at(first))

    def _begin_group(self, first: int) -> None:
        self._first = self._row = first
        self.held = []
        self._whole, self._bytes = 0, 0
        self._began = time.monotonic()


@contextmanager
def keeping(out: Path, work: Work | None, head: ArraysHead | None, say: Say) -> Iterator[KeptRows]:
    """Rows of ``out`` that are finished; when the block ends well the output is there and they are removed.

    Arguments are those of :class:`KeptRows`.
    """
    kept = KeptRows(out, work, head, say)
    try:
        yield kept
    except BaseException:
        kept.leave()
        raise
    kept.remove()
