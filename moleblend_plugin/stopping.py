"""Ending long commands so that nothing is left behind, and saying how a process ended."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol


@contextmanager
def termination_as_exit() -> Iterator[None]:
    """Let SIGTERM (a cluster's time limit) unwind as Ctrl-C does: no files and no processes left behind.

    Outside the main thread, which alone may set handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Child(Protocol):
    """A process of ``multiprocessing``."""

    @property
    def exitcode(self) -> int | None:
        """Its exit code, minus the number of the signal that ended it, ``None`` while it runs."""


class Ending(NamedTuple):
    """How a process ended that should have gone on.

    Attributes:
        how: in words.
        memory: whether that is how a full memory ends processes.
    """

    how: str
    memory: bool = False


def how_ended(children: Iterable[Child]) -> Ending:
    """How the first of some processes ended that was not asked to: only a kill speaks of memory.

    A process may be ending just now, and one that has ended has no exit code for a moment while another
    thread, such as that of a pool, collects it: two seconds are given for one to appear. Meanwhile the
    handler of SIGCHLD that torch sets with a ``DataLoader`` elsewhere in the program may raise its own error
    of the same process, wherever the program is: the wait goes on.
    """
    watched = list(children)
    until = time.monotonic() + 2.0
    odd: list[int] = []
    while time.monotonic() < until:
        with suppress(RuntimeError):
            odd = _unasked(watched)
            if odd or all(child.exitcode is not None for child in watched):
                break
            time.sleep(0.02)
    if not odd:
        return Ending("for a reason that the system does not report")
    code = odd[0] if odd[0] < 0 else odd[-1]
    if code > 0:
        return Ending(f"with exit code {code}; what it printed above says why")
    return ended_by(-code)


def _unasked(children: Iterable[Child]) -> list[int]:
    """The exit codes of those that ended otherwise than well or as asked to, in order."""
    codes = {child.exitcode for child in children}
    return sorted(code for code in codes if code is not None and code not in (0, -signal.SIGTERM))


def ended_by(number: int) -> Ending:
    """The same, of a process that a signal ended."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGKILL":
        return Ending("by SIGKILL: often the memory is full", memory=True)
    if name == "SIGBUS":
        return Ending("by SIGBUS: often the shared memory (/dev/shm) is full", memory=True)
    return Ending(f"by {name}")
