"""Rows through converting processes and back in order, with a bounded number under way.

Workers are spawned, not forked: the building process has threads (progress bar) and an open LMDB file.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.rows import RawRow
from moleblend_plugin.chem.scaffold import scaffold_of
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord, Rejection


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker does with each row.

    Attributes:
        conversion: how it becomes a record.
        scaffolds: whether its scaffold is wanted.
        chiral: whether scaffolds keep their chirality.
    """

    conversion: ConversionConfig
    scaffolds: bool = False
    chiral: bool = True

    @property
    def chunk(self) -> int:
        """Rows per message: many where rows are quick, few where one may take seconds."""
        return 256 if self.conversion.conformers is None else 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row; ``split`` is its split column's text, or its scaffold."""

    result: MoleculeRecord | Rejection
    split: str = ""


def convert_in_order(rows: Iterable[RawRow | Rejection], task: Task, workers: int) -> Iterator[Outcome]:
    """Outcome of every row in input order, the same for any number of workers.

    Raises:
        MoleblendError: a worker process died.
    """
    chunks = _chunks(iter(rows), task.chunk)
    if workers <= 1:
        for chunk in chunks:
            yield from convert_chunk(chunk, task)
        return
    with _pool(workers) as pool:
        waiting: deque[tuple[RawRow | Rejection, Future[list[Outcome]]]] = deque()
        for chunk in chunks:
            waiting.append((chunk[0], _submit(pool, chunk, task)))
            if len(waiting) >= 4 * workers:
                yield from _outcomes(*waiting.popleft())
        while waiting:
            yield from _outcomes(*waiting.popleft())


def convert_chunk(chunk: list[RawRow | Rejection], task: Task) -> list[Outcome]:
    """Outcome of every row; rejections pass through."""
    return [_outcome(row, task) for row in chunk]


def _outcome(row: RawRow | Rejection, task: Task) -> Outcome:
    if isinstance(row, Rejection):
        return Outcome(row)
    result = convert(row, task.conversion)
    if task.scaffolds and isinstance(result, MoleculeRecord):
        return Outcome(result, scaffold_of(result.smiles, task.chiral))
    return Outcome(result, row.split)


def _chunks(rows: Iterator[RawRow | Rejection], size: int) -> Iterator[list[RawRow | Rejection]]:
    while chunk := list(islice(rows, size)):
        yield chunk


def _submit(pool: ProcessPoolExecutor, chunk: list[RawRow | Rejection], task: Task) -> Future[list[Outcome]]:
    try:
        return pool.submit(convert_chunk, chunk, task)
    except BrokenProcessPool as error:
        raise _death(chunk[0]) from error


def _outcomes(first: RawRow | Rejection, future: Future[list[Outcome]]) -> list[Outcome]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise _death(first) from error


def _death(first: RawRow | Rejection) -> MoleblendError:
    return MoleblendError(
        f"a worker process died while converting rows from about {first.source}:{first.row} on (out of "
        "memory?); use fewer --workers"
    )


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Workers that end with the block: after their work when all is well, at once when not."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_ignore_interrupts)
    ended_well = False
    try:
        yield pool
        ended_well = True
    finally:
        if not ended_well:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C reaches the whole group; the building process decides, its workers print no tracebacks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
