"""One thread around the network: requests wait in order, and no more of them than there is room for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

_Done = TypeVar("_Done")

_LOOK: Final = 0.5
"""Seconds between two looks whether the client is still there."""


class Busy(Exception):
    """As many requests wait as may (HTTP 503)."""


class GivenUp(Exception):
    """Nobody waits for the result any more: the client is gone, or the server stops."""


class Worker:
    """Calls functions one at a time, in the order in which they came.

    Args:
        name: of its thread.
        most: requests that may wait or be worked on.

    Attributes:
        taken: requests that wait or are worked on.
    """

    def __init__(self, name: str, most: int) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._most = most
        self._stopping = threading.Event()
        self.taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue, for as long as the block lasts: taken before a body is read.

        Raises:
            Busy: there is none.
        """
        if self.taken >= self._most or self._stopping.is_set():
            raise Busy
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def run(
        self, work: Callable[[Callable[[], None]], _Done], is_gone: Callable[[], Awaitable[bool]]
    ) -> _Done:
        """What ``work`` gives, once its turn has come.

        Args:
            work: called in the thread, with a function that it calls now and then, which raises
                :class:`GivenUp` where the result is not wanted any more.
            is_gone: whether the client is.

        Raises:
            GivenUp: the client is gone, or the server stops.
        """
        unwanted = threading.Event()

        def check() -> None:
            if unwanted.is_set() or self._stopping.is_set():
                raise GivenUp

        def call() -> _Done:
            check()
            return work(check)

        future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        try:
            while not (await asyncio.wait({future}, timeout=_LOOK))[0]:
                if await is_gone():
                    unwanted.set()
            return await future
        finally:
            unwanted.set()

    def stop(self) -> None:
        """Give up what waits, and what is worked on at its next look. It can be called from a signal."""
        self._stopping.set()

    def close(self) -> None:
        """End the thread."""
        self.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
