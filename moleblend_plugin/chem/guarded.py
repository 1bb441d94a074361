"""Rows through processes that may be lost: a row that ends its process, or hangs, costs only itself.

Every process has one chunk at a time, so that a process that ends accuses no rows but its own. A chunk that
is lost is done again row by row; a row that is lost again, in a process that has done nothing else (twice
where it was killed, which may not be its fault), is rejected with the reason, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

from moleblend_plugin.chem.workers import Engine, Spawning, begin_worker, work_in_worker, work_on
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Rejection
from moleblend_plugin.stopping import how_ended

ROW_SECONDS: Final = 600.0
"""After which a row counts as hanging where nothing else is asked for: far beyond what conformers take."""

_AHEAD: Final = 2
"""Chunks under way per process: the next one waits while one is done."""

_TOO_MANY: Final = 8
"""Rows of one chunk that may be lost: where all of so many are, it is not the rows' fault."""


class _Lost(Exception):
    """A process was lost; the text is the reason, as a rejection gives it.

    Args:
        reason: the text.
        by_kill: whether a kill ended it, which may come from outside: a full memory, a scheduler.
    """

    def __init__(self, reason: str, by_kill: bool = False) -> None:
        super().__init__(reason)
        self.by_kill = by_kill


def engine_for(row_seconds: float | None) -> Engine:
    """What works on chunks: ``workers.work_on``, whose lost process ends the work, or :func:`guarded`.

    Args:
        row_seconds: after which a row counts as hanging; ``None``: nothing is guarded.
    """
    return work_on if row_seconds is None else partial(guarded, row_seconds=row_seconds)


def guarded(
    chunks: Iterable[tuple[int, list[Any]]],
    work: Callable[[list[Any]], list[Any]],
    workers: int,
    in_order: bool = False,
    *,
    row_seconds: float = ROW_SECONDS,
) -> Iterator[tuple[int, list[Any]]]:
    """(number, what ``work`` makes of it) of every chunk, in processes that may be lost.

    Args:
        chunks: numbered; their rows have a ``source``, a ``row`` and what is ``shown`` of them.
        work: goes to each process once, pickled. What it makes of some rows is what it makes of each, and of
            a ``Rejection`` it makes an outcome without chemistry.
        workers: processes, also where it is one.
        in_order: chunks come in their order, not as soon as they are done.
        row_seconds: after which a chunk is done again row by row, and a row is rejected.

    Raises:
        MoleblendError: a process cannot begin, or all rows of a chunk end theirs.
    """
    free: SimpleQueue[_Process] = SimpleQueue()
    processes = [_Process(work, row_seconds) for _ in range(max(1, workers))]
    for process in processes:
        free.put(process)

    def do(chunk: list[Any]) -> list[Any]:
        process = free.get()
        try:
            return process.outcomes(chunk)
        finally:
            free.put(process)

    threads = ThreadPoolExecutor(len(processes), "moleblend-guard")
    try:
        waiting: dict[Future[list[Any]], int] = {}
        for number, chunk in chunks:
            waiting[threads.submit(do, chunk)] = number
            if len(waiting) >= _AHEAD * len(processes):
                yield from _next_done(waiting, in_order)
        while waiting:
            yield from _next_done(waiting, in_order)
    finally:
        for process in processes:
            process.close()
        threads.shutdown(wait=True, cancel_futures=True)


def _next_done(waiting: dict[Future[list[Any]], int], in_order: bool) -> Iterator[tuple[int, list[Any]]]:
    done = [next(iter(waiting))] if in_order else wait(waiting, return_when=FIRST_COMPLETED).done
    for future in done:
        yield waiting.pop(future), future.result()


class _Process:
    """One process for chunks, replaced when it is lost."""

    def __init__(self, work: Callable[[list[Any]], list[Any]], row_seconds: float) -> None:
        self._work, self._seconds = work, row_seconds
        self._context = Spawning()
        self._pool: ProcessPoolExecutor | None = None
        self._is_fresh = True
        self._closed = False

    def outcomes(self, rows: list[Any]) -> list[Any]:
        """What becomes of ``rows``, of each alone where they are lost together."""
        try:
            return self._run(rows)
        except _Lost as lost:
            first = lost
        found, lost_rows = [], 0
        for row in rows:
            outcome, is_lost = self._alone(row)
            found += outcome
            lost_rows += is_lost
        if lost_rows >= _TOO_MANY and lost_rows == len(rows):
            raise MoleblendError(
                f"all of {lost_rows} rows from {rows[0].source}:{rows[0].row} on are lost ({first}): give "
                "the processes more memory, or look at these rows"
            )
        return found

    def _alone(self, row: Any) -> tuple[list[Any], bool]:  # noqa: ANN401  of any reader
        """The outcome of a row, and whether it is lost also in a process that has done nothing else."""
        if isinstance(row, Rejection):
            return self._run([row]), False
        alone = 0
        while True:
            alone += self._is_fresh
            try:
                return self._run([row]), False
            except _Lost as lost:
                if alone > lost.by_kill:
                    return self._run([Rejection(row.source, row.row, _shown(row), str(lost))]), True

    def _run(self, rows: list[Any]) -> list[Any]:
        pool = self._begun()
        try:
            future = pool.submit(work_in_worker, rows)
            self._is_fresh = False
            found: list[Any] = future.result(self._seconds)
        except BrokenProcessPool as error:
            self._refuse_closed(error)
            ending = how_ended(self._last())
            self._end()
            raise _Lost(f"ended its process: {ending.how}", ending.memory) from error
        except TimeoutError as error:
            if future.done():  # its own
                raise
            self._end()
            raise _Lost(f"took too long: more than {self._seconds:g} s") from error
        return found

    def _begun(self) -> ProcessPoolExecutor:
        """The process, once it is ready: beginning takes long on a shared disk, and is no row's fault."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1, self._context, initializer=begin_worker, initargs=(self._work,)
            )
            try:
                self._pool.submit(_nothing).result()
            except BrokenProcessPool as error:
                self._refuse_closed(error)
                raise self._context.lost("beginning") from error
        if self._closed:
            self.close()
            raise MoleblendError("the work was ended")
        return self._pool

    def _last(self) -> list[Any]:
        return self._context.started[-1:]

    def _refuse_closed(self, error: Exception) -> None:
        if self._closed:
            raise MoleblendError("the work was ended") from error

    def _end(self) -> None:
        pool, self._pool = self._pool, None
        self._is_fresh = True
        for process in self._last():
            if process.is_alive():
                process.kill()  # a hanging extension does not look at signals that Python handles
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """End the process, whatever it does."""
        self._closed = True
        with suppress(ValueError):  # ended and closed already
            self._end()


def _nothing() -> None:
    """A call that shows that the process has begun."""


def _shown(row: Any) -> str:  # noqa: ANN401  of any reader
    return str(getattr(row, "shown", getattr(row, "text", "")))
