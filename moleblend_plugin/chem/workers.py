"""Rows through converting processes and back, with a bounded number under way.

Workers are spawned, not forked: the building process has threads (progress bar) and an open LMDB file.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, Final, TypeVar, cast

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.identity.exclusion import DEFAULT_LEVEL, identity_of
from moleblend_plugin.chem.identity.likeness import written_identity
from moleblend_plugin.chem.identity.scaffold import scaffold_of
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord, Rejection
from moleblend_plugin.stopping import how_ended

Row = RawRow | Rejection
Done = TypeVar("Done")

_AHEAD: Final = 4
"""Chunks under way per worker: none waits for work, and memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker does with each row.

    Attributes:
        conversion: how it becomes a record.
        scaffolds: whether its scaffold is wanted.
        chiral: whether scaffolds keep their chirality.
        excluded: ``identity_of`` molecules that are left out.
        exclude_level: at which they are compared.
        identities: whether the molecule's own identity is wanted.
    """

    conversion: ConversionConfig
    scaffolds: bool = False
    chiral: bool = True
    excluded: frozenset[str] = frozenset()
    exclude_level: str = DEFAULT_LEVEL
    identities: bool = False

    @property
    def chunk(self) -> int:
        """Rows per message: many where rows are quick, few where one may take seconds."""
        return 256 if self.conversion.conformers is None else 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row; ``split`` is its split column's text, or its scaffold.

    ``identity`` is the molecule's text at level ``exact``, where it was wanted. A rejection without a reason
    is a row that ``Task.excluded`` leaves out.
    """

    result: MoleculeRecord | Rejection
    split: str = ""
    identity: str = ""


def convert_in_order(rows: Iterable[Row], task: Task, workers: int) -> Iterator[Outcome]:
    """Outcome of every row in input order, the same for any number of workers.

    Raises:
        MoleblendError: a worker process died.
    """
    chunks = cut(iter(rows), task.chunk)
    if workers <= 1:
        for chunk in chunks:
            yield from convert_chunk(chunk, task)
        return
    with _pool(workers) as pool:
        waiting: deque[tuple[Row, Future[list[Outcome]]]] = deque()
        for chunk in chunks:
            waiting.append((chunk[0], pool.submit(chunk[0], convert_chunk, chunk, task)))
            if len(waiting) >= _AHEAD * workers:
                yield from pool.result(*waiting.popleft())
        while waiting:
            yield from pool.result(*waiting.popleft())


def work_in_any_order(
    chunks: Iterable[tuple[int, list[Row]]], work: Callable[[list[Row]], Done], workers: int
) -> Iterator[tuple[int, Done]]:
    """(number, what ``work`` makes of it) of every chunk, as soon as it is done.

    Args:
        chunks: numbered, none empty.
        work: goes to each worker once, pickled.
        workers: processes; 1 works in this one.

    Raises:
        MoleblendError: a worker process died.
    """
    if workers <= 1:
        yield from ((number, work(chunk)) for number, chunk in chunks)
        return
    with _pool(workers, work) as pool:
        waiting: dict[Future[Done], tuple[int, Row]] = {}
        call = cast("Callable[[list[Row]], Done]", _work)
        for number, chunk in chunks:
            waiting[pool.submit(chunk[0], call, chunk)] = (number, chunk[0])
            if len(waiting) >= _AHEAD * workers:
                yield from _first_done(pool, waiting)
        while waiting:
            yield from _first_done(pool, waiting)


def _first_done(pool: _Pool, waiting: dict[Future[Done], tuple[int, Row]]) -> Iterator[tuple[int, Done]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        number, first = waiting.pop(future)
        yield number, pool.result(first, future)


def convert_chunk(chunk: list[RawRow | Rejection], task: Task) -> list[Outcome]:
    """Outcome of every row; rejections pass through."""
    return [_outcome(row, task) for row in chunk]


def _outcome(row: Row, task: Task) -> Outcome:
    if isinstance(row, Rejection):
        return Outcome(row)
    if (
        task.excluded and identity_of(row, task.exclude_level) in task.excluded
    ):  # before the work on conformers
        return Outcome(Rejection(row.source, row.row, row.shown, ""))
    result = convert(row, task.conversion)
    if isinstance(result, Rejection):
        return Outcome(result, row.split)
    split = scaffold_of(result.smiles, task.chiral) if task.scaffolds else row.split
    return Outcome(result, split, written_identity(result.smiles) if task.identities else "")


def cut(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """``rows`` in chunks of ``size``, the last one maybe shorter."""
    while chunk := list(islice(rows, size)):
        yield chunk


class Spawning(SpawnContext):
    """Spawns processes, and knows afterwards how one of them ended."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: ANN401
        """A new process."""
        process = SpawnProcess(*args, **kwargs)
        self.started.append(process)
        return process

    def lost(self, doing: str, goes_on: str = "") -> MoleblendError:
        """What to tell when one of them is gone.

        Args:
            doing: what it did, such as "drawing".
            goes_on: what happens when the command is repeated.
        """
        # The pool has ended the others by SIGTERM.
        ending = how_ended(process for process in self.started if process.pid is not None)
        script = "" if ending.memory else _unguarded()
        remedy = script or ("use fewer --workers" if ending.memory else "--workers 1 works in one process")
        return MoleblendError(f"a worker process ended while {doing} {ending.told}; {remedy}{goes_on}")


def _unguarded() -> str:
    """A hint for scripts: spawned processes import the main module, and there it must not start anything."""
    main = sys.modules.get("__main__")
    if getattr(main, "__spec__", None) is None and getattr(main, "__file__", "").endswith(".py"):
        return 'in a script, call it below `if __name__ == "__main__":`, or give --workers 1'
    return ""


class _Pool:
    """Processes for chunks of rows; a lost one is told with the rows it worked on."""

    def __init__(self, executor: ProcessPoolExecutor, context: Spawning) -> None:
        self._executor = executor
        self._context = context

    def submit(self, first: Row, call: Callable[..., Done], *arguments: object) -> Future[Done]:
        """Have ``call(*arguments)`` done; ``first`` is the first row of it."""
        try:
            return self._executor.submit(call, *arguments)
        except BrokenProcessPool as error:
            raise self._death(first) from error

    def result(self, first: Row, future: Future[Done]) -> Done:
        """What a call gave."""
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise self._death(first) from error

    def _death(self, first: Row) -> MoleblendError:
        return self._context.lost(f"converting rows from about {first.source}:{first.row} on")


@contextmanager
def _pool(workers: int, work: Callable[..., Any] | None = None) -> Iterator[_Pool]:
    """Workers that end with the block: after their work when all is well, at once when not."""
    context = Spawning()
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(work,))
    ended_well = False
    try:
        yield _Pool(pool, context)
        ended_well = True
    finally:
        if not ended_well:
            for process in context.started:
                if process.is_alive():
                    process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


_works: list[Callable[..., Any]] = []
"""In a worker: what it was begun with. Sent once, not with every chunk: it may hold much."""


def _begin(work: Callable[..., Any] | None) -> None:
    """Set up a worker. Ctrl-C reaches the whole group: the building process decides, workers go on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _works[:] = [work] if work else []


def _work(chunk: list[Row]) -> object:
    return _works[0](chunk)


def _end_with_parent() -> None:
    """A worker whose builder was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
