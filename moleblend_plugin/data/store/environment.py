"""Open LMDB files for reading: one environment per file and process, whoever reads.

A store of many pieces keeps the pieces that were read last open, up to a bound, since every open file costs a
handle. Before a fork they are closed, so that no child inherits them.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import lmdb

from moleblend_plugin.errors import MoleblendError

MOST_OPEN: Final = 256
"""Pieces of stores that a process keeps open, where it may open as many files."""

_FEWEST_OPEN: Final = 4

_TWICE: Final = "already open in this process"
"""In what lmdb says of a file that a process opens twice."""
_CLOSING_SECONDS: Final = 2.0


class Environment:
    """An open LMDB file and the process that opened it."""

    def __init__(self, path: Path) -> None:
        self.pid = os.getpid()
        self.lmdb = lmdb.open(
            str(path), subdir=False, readonly=True, lock=False, readahead=False, meminit=False, create=False
        )


# lmdb >= 2 refuses to open a file twice in a process, so readers share. Keyed by (device, inode): a
# store that was replaced at the same path is another file. Weak: the last reader closes the file.
_OPEN: WeakValueDictionary[tuple[int, int], Environment] = WeakValueDictionary()
_LOCK = threading.Lock()

_RECENT: OrderedDict[Path, Environment] = OrderedDict()
"""Pieces that are kept open, the one that was read last at the end."""
_RECENT_LOCK = threading.RLock()


def open_environment(path: Path) -> Environment:
    """The process's one environment of the file at ``path``.

    Raises:
        lmdb.Error: it is no LMDB file.
        OSError: it cannot be read.
    """
    info = os.stat(path)
    key = (info.st_dev, info.st_ino)
    with _LOCK:
        shared = _OPEN.get(key)
        if shared is not None and shared.pid == os.getpid():
            return shared
        if shared is not None:
            shared.lmdb.close()  # inherited by fork: the child drops its copy and opens its own
        opened = _opened(path)
        _OPEN[key] = opened
        return opened


def _opened(path: Path) -> Environment:
    """The file, opened. Another thread may be about to close it, and then it counts as open for a moment."""
    until = time.monotonic() + _CLOSING_SECONDS
    while True:
        try:
            return Environment(path)
        except lmdb.Error as error:
            if _TWICE not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.001)


def recent_environment(path: Path, check: Callable[[Environment], None]) -> Environment:
    """The environment of a piece; it stays open until :func:`most_open` others were read after it.

    Args:
        path: the file, as it is always named.
        check: called with an environment that was opened now; raises where it is not the piece.

    Raises:
        lmdb.Error: it is no LMDB file.
        OSError: it cannot be read.
    """
    with _RECENT_LOCK:
        found = _RECENT.get(path)
        if found is not None and found.pid == os.getpid():
            _RECENT.move_to_end(path)
            return found
        _RECENT.pop(path, None)
        while len(_RECENT) >= most_open():
            _RECENT.popitem(last=False)
        opened = open_environment(path)
        check(opened)
        _RECENT[path] = opened
        return opened


def close_recent(path: Path | None = None) -> None:
    """Close a piece, or all pieces: as soon as nobody reads it, and until it is read again."""
    with _RECENT_LOCK:
        if path is None:
            _RECENT.clear()
        else:
            _RECENT.pop(path, None)


@cache
def most_open() -> int:
    """Pieces that this process keeps open: half of the files that it may open, up to ``MOST_OPEN``."""
    try:
        resource: Any = importlib.import_module("resource")
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    except ImportError:  # not on Windows, which has no such limit
        return MOST_OPEN
    return MOST_OPEN if allowed < 0 else max(_FEWEST_OPEN, min(MOST_OPEN, allowed // 2))


def check_length(environment: Environment, path: Path, remedy: str) -> None:
    """Refuse a file that is shorter than its own head says.

    LMDB maps the file: reading past its end would kill the process (SIGBUS), so ask before.

    Raises:
        MoleblendError: it is truncated; the text ends in ``remedy``.
    """
    needed = (environment.lmdb.info()["last_pgno"] + 1) * environment.lmdb.stat()["psize"]
    present = path.stat().st_size
    if present < needed:
        raise MoleblendError(f"{path} is truncated: {present} bytes of {needed}; {remedy}")


def _before_fork() -> None:
    _RECENT_LOCK.acquire()
    _LOCK.acquire()  # a child would wait forever for a thread that it does not have
    _RECENT.clear()


def _after_fork() -> None:
    _LOCK.release()
    _RECENT_LOCK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
