"""Rows through converting processes and back, with a bounded number under way.

Workers are spawned, not forked: the building process has threads (progress bar) and an open LMDB file.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, Final, TypeVar, cast

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.identity.featurizers import featurized
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.reading import pinned
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord, Rejection
from moleblend_plugin.stopping import how_ended

_Row = TypeVar("_Row")
_Done = TypeVar("_Done")
Converted = MoleculeRecord | Rejection
Engine = Callable[..., Iterator[tuple[int, Any]]]
"""What works on chunks, as :func:`work_on` does."""

_AHEAD: Final = 4
"""Chunks under way per worker: none waits for work, and memory stays bounded."""


def convert_in_order(
    rows: Iterable[RawRow | Rejection],
    config: ConversionConfig,
    workers: int,
    featurizers: tuple[str, ...] = (),
    *,
    canonical: bool = True,
    engine: Engine | None = None,
) -> Iterator[Converted]:
    """Record or rejection of every row in input order, the same for any number of workers.

    Args:
        rows: the input.
        config: how.
        workers: processes.
        featurizers: what records get besides: "descriptors", "ecfp"; computed of canonical SMILES.
        canonical: whether records get these (:func:`convert`).
        engine: works on chunks of them; ``None``: :func:`work_on`.

    Raises:
        MoleblendError: a worker process died.
    """
    # Many rows per message where they are quick, few where one may take seconds.
    quick = config.conformers is None and not featurizers
    chunks = enumerate(chunks_of(rows, 256 if quick else 32))
    convert_all = partial(_convert_all, config, featurizers, canonical or bool(featurizers))
    for _, results in (engine or work_on)(chunks, convert_all, workers, in_order=True):
        yield from results


def _convert_all(
    config: ConversionConfig, featurizers: tuple[str, ...], canonical: bool, rows: list[RawRow | Rejection]
) -> list[Converted]:
    with pinned():  # once for all of them
        found = [row if isinstance(row, Rejection) else convert(row, config, canonical) for row in rows]
        if not featurizers:
            return found
        return [featurized(each, featurizers) if isinstance(each, MoleculeRecord) else each for each in found]


def work_on(
    chunks: Iterable[tuple[int, list[_Row]]],
    work: Callable[[list[_Row]], _Done],
    workers: int,
    in_order: bool = False,
) -> Iterator[tuple[int, _Done]]:
    """(number, what ``work`` makes of it) of every chunk.

    Args:
        chunks: numbered, none empty; their rows have a ``source`` and a ``row`` to be told by.
        work: goes to each worker once, pickled.
        workers: processes; 1 works in this one, and so does a single chunk.
        in_order: chunks come in their order, not as soon as they are done.

    Raises:
        MoleblendError: a worker process died.
    """
    rest = iter(chunks)
    first = list(islice(rest, 2))
    if workers <= 1 or len(first) < 2:
        yield from ((number, work(chunk)) for number, chunk in chain(first, rest))
        return
    with _pool(workers, work) as pool:
        waiting: dict[Future[_Done], tuple[int, str]] = {}
        for number, chunk in chain(first, rest):
            row: Any = chunk[0]
            begin = f"{row.source}:{row.row}"
            call = cast("Callable[[list[_Row]], _Done]", work_in_worker)
            waiting[pool.submit(begin, call, chunk)] = number, begin
            if len(waiting) >= _AHEAD * workers:
                yield from _next_done(pool, waiting, in_order)
        while waiting:
            yield from _next_done(pool, waiting, in_order)


def _next_done(
    pool: _Pool, waiting: dict[Future[_Done], tuple[int, str]], in_order: bool
) -> Iterator[tuple[int, _Done]]:
    done = [next(iter(waiting))] if in_order else wait(waiting, return_when=FIRST_COMPLETED).done
    for future in done:
        number, begin = waiting.pop(future)
        yield number, pool.result(begin, future)


def chunks_of(rows: Iterable[_Row], size: int) -> Iterator[list[_Row]]:
    """``rows`` in lists of ``size``, the last one maybe shorter."""
    rest = iter(rows)
    while chunk := list(islice(rest, size)):
        yield chunk


class Spawning(SpawnContext):
    """Spawns processes, and knows afterwards how one of them ended."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]
        """A new process."""
        process = SpawnProcess(*args, **kwargs)
        self.started.append(process)
        return process

    def lost(self, doing: str, hint: str = "") -> MoleblendError:
        """The error when one of them is gone.

        Args:
            doing: what it did, such as "drawing".
            hint: what happens when the command is repeated.
        """
        # The pool has ended the others by SIGTERM.
        ending = how_ended(process for process in self.started if process.pid is not None)
        script = "" if ending.memory else _unguarded()
        remedy = script or ("use fewer --workers" if ending.memory else "--workers 1 works in one process")
        return MoleblendError(f"a worker process ended while {doing} {ending.how}; {remedy}{hint}")


def _unguarded() -> str:
    """A hint for scripts: spawned processes import the main module, and there it must not start anything."""
    main = sys.modules.get("__main__")
    if getattr(main, "__spec__", None) is None and getattr(main, "__file__", "").endswith(".py"):
        return 'in a script, call it below `if __name__ == "__main__":`, or give --workers 1'
    return ""


class _Pool:
    """Processes for chunks of rows; a lost one is reported with ``begin``, the first row of its chunk."""

    def __init__(self, executor: ProcessPoolExecutor, context: Spawning) -> None:
        self._executor = executor
        self._context = context

    def submit(self, begin: str, call: Callable[..., _Done], *arguments: object) -> Future[_Done]:
        """Have ``call(*arguments)`` done."""
        with self._reporting(begin):
            return self._executor.submit(call, *arguments)

    def result(self, begin: str, future: Future[_Done]) -> _Done:
        """What a call gave."""
        with self._reporting(begin):
            return future.result()

    @contextmanager
    def _reporting(self, begin: str) -> Iterator[None]:
        try:
            yield
        except BrokenProcessPool as error:
            raise self._context.lost(f"converting rows from about {begin} on") from error


@contextmanager
def _pool(workers: int, work: Callable[..., Any]) -> Iterator[_Pool]:
    """Workers that end with the block: after their work when all is well, at once when not."""
    context = Spawning()
    pool = ProcessPoolExecutor(workers, context, initializer=begin_worker, initargs=(work,))
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


def begin_worker(work: Callable[..., Any]) -> None:
    """Set up a worker. Ctrl-C reaches the whole group: the building process decides, workers continue."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _works[:] = [work]


def work_in_worker(chunk: list[Any]) -> Any:  # noqa: ANN401  whatever the work gives
    """In a worker: the work on a chunk."""
    return _works[0](chunk)


def _end_with_parent() -> None:
    """A worker whose builder was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
