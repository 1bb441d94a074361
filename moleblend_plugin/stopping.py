"""Ending long commands so that nothing is left behind, and saying how a process ended."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""


class Ending(NamedTuple):
    """How a process ended that should have gone on.

    Attributes:
        how: in words.
        memory: whether that is how a full memory ends processes.
    """

    how: str
    memory: bool = False


def how_ended(children: Iterable[Child]) -> Ending:
    """How the first of some processes ended that was not asked to: only a kill speaks of memory."""
    codes = []
    for child in children:
        child.join(0.5)  # it may be ending just now
        codes.append(child.exitcode)
    asked = {None, 0, -signal.SIGTERM}
    odd = sorted({code for code in codes if code is not None and code not in asked})
    if not odd:
        return Ending("for a reason that the system does not report")
    code = odd[0] if odd[0] < 0 else odd[-1]
    if code > 0:
        return Ending(f"with exit code {code}; what it printed above says why")
    return ended_by(-code)


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
