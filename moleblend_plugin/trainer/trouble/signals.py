"""SIGTERM and SIGINT: the first one is a wish to stop after the current update, a second one ends at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moleblend_plugin.trainer.loop.engine import Engine

HANDLED = (signal.SIGTERM, signal.SIGINT)

FORWARDING_SECONDS = 1.0
"""With several processes a launcher passes on what the group got: a signal so soon after is the same wish."""

WORKER_SECONDS = 30
"""How long a data worker goes on after SIGTERM, should nobody end it: the trainer still needs its batches."""


class Interrupted(BaseException):
    """The run was asked to stop. Like KeyboardInterrupt no error, so that nothing swallows it.

    Args:
        number: of the signal.
        message: what was done about it, in one line.
    """

    def __init__(
        self, number: int, message: str = "stopped before the first update: nothing to save"
    ) -> None:
        super().__init__(number, message)
        self.number = number
        self.message = message

    @property
    def exit_code(self) -> int:
        """What shells and schedulers read as "ended by this signal": 143 for SIGTERM, 130 for SIGINT."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"{signal.Signals(self.number).name}: {self.message}"


class StopRequest:
    """Whether somebody asked this process to stop. One per process, as signals are."""

    def __init__(self) -> None:
        self.number = 0
        self._since = 0.0
        self._pid = 0
        self._deferred = False
        self._several = False
        self._forwards = False

    @contextmanager
    def listening(self, forward: bool = False) -> Iterator[None]:
        """Handle the signals inside the block: outside of :meth:`deferred` they end it with Interrupted.

        Args:
            forward: this process only waits for those that train: pass the signals on to them.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only a main thread may; whoever runs us elsewhere handles signals itself
            return
        self.number, self._pid, self._deferred, self._forwards = 0, os.getpid(), False, forward
        before = {number: signal.signal(number, self._receive) for number in HANDLED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self, several: bool) -> Iterator[None]:
        """Only note the first signal inside the block, for :meth:`check`.

        Args:
            several: whether other processes train along.
        """
        self._deferred, self._several = True, several
        try:
            yield
        finally:
            self._deferred = False

    def check(self, engine: Engine) -> None:
        """Ask, all processes at the same place, whether any of them shall stop.

        Raises:
            Interrupted: one shall.
        """
        received = engine.sum([float(self.number == number) for number in HANDLED])
        for number, count in zip(HANDLED, received, strict=True):
            if count > 0:
                raise Interrupted(number)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return  # a fork of this process, which others look after
        if self._forwards:
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, number)
        elif self.number == 0:
            self.number, self._since = number, time.monotonic()
            if not self._deferred:
                raise Interrupted(number)
        elif not (self._several and time.monotonic() - self._since < FORWARDING_SECONDS):
            os.write(2, b"second signal: leaving at once; the last checkpoint is as it was\n")
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(128 + number)


STOP = StopRequest()


@contextmanager
def held_back() -> Iterator[None]:
    """Hold the signals back while workers start; these let them in again in :func:`guard_worker`.

    SIGCHLD keeps its handler: torch's own, set along with the workers, would raise wherever the program is
    when a worker is lost, and inside a ``__del__`` or a log call that is printed and forgotten. Without it
    the loader looks after its workers every five seconds while it waits for a batch.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows, which starts workers without signals
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    handler = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGCHLD) is not handler:
            signal.signal(signal.SIGCHLD, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def guard_worker(number: int, trainer: int, by_server: bool = False) -> None:
    """Let a data worker outlive signals to the whole group: the trainer ends it when it is done.

    SIGINT is ignored; SIGTERM ends it after ``WORKER_SECONDS``, with the code 0 that the trainer takes for a
    regular end. Where the trainer is gone workers leave by themselves: torch sees to it from its first batch
    on, and one whose trainer was killed even before leaves here.

    Args:
        number: of the worker.
        trainer: process id of the trainer that started it.
        by_server: whether a server forked it for the trainer (start method "forkserver"): then the server is
            its parent, and a pipe tells of the trainer's end.
    """
    if by_server:
        parent = multiprocessing.parent_process()
        gone = parent is not None and not parent.is_alive()
    else:
        gone = os.getppid() != trainer
    if gone:
        os._exit(0)

    def leave_soon(*_: object) -> None:
        timer = threading.Timer(WORKER_SECONDS, os._exit, (0,))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, leave_soon)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
