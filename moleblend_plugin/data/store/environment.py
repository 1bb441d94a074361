"""Open LMDB files for reading: one environment per file and process, whoever reads."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from weakref import WeakValueDictionary

import lmdb

from moleblend_plugin.errors import MoleblendError


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
        opened = Environment(path)
        _OPEN[key] = opened
        return opened


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
