"""One process at a time in a folder or at a file: a lock that no crash leaves behind.

A lock is a small file that names its holder. Two things tell whether the holder still works:

- the operating system's lock on the file (``fcntl`` record locks, ``msvcrt`` on Windows), which ends with the
  process, however it ends; record locks also hold between machines on NFS, and no forked child inherits them;
- a count in the file that the holder raises every :data:`BEAT_SECONDS`, for file systems whose locks hold on
  one machine only or not at all. Who finds another machine's name there watches the count before it goes in.

What is guaranteed, and what is not, stands in ``docs/runs.md``.
"""

from __future__ import annotations

import errno
import importlib
import json
import logging
import os
import platform
import secrets
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.errors import MoleblendError

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 5.0
"""How often a holder shows that it lives."""

SILENT_SECONDS: Final = 20.0
"""A holder on another machine that has not shown itself for so long is gone."""

GRACE_SECONDS: Final = 2.0
"""How long to try before a lock counts as held: a killed process takes a moment to end."""

_BYTES: Final = 1024
"""Size of the file: it is written in one piece, so that a reader never sees half of it."""

_LOCKED_BYTE: Final = 1 << 30
"""Windows keeps others from reading what is locked: lock a byte behind the text."""

_TAKEN: Final = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
"""What systems say of a lock that another process holds; any other error means that there are no locks."""


class Held(MoleblendError):
    """Another process works there."""


_mine: dict[tuple[int, str], Lock] = {}
_guard = threading.Lock()


class Lock:
    """A lock that this process holds; :func:`holding` and :func:`take` make them.

    Args:
        path: the file.
        handle: of the file, open for writing.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self.token = secrets.token_hex(8)
        self._handle = handle
        self._pid = os.getpid()
        self._beat = 0
        self._since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        self._ended = threading.Event()
        self._using = threading.Lock()
        self._write()

    def start(self) -> None:
        """Begin to show that the holder lives."""
        threading.Thread(target=self._live, name="moleblend-lock", daemon=True).start()

    def check(self) -> None:
        """Make sure that nobody else took the place while this process was stopped or disconnected.

        Raises:
            Held: somebody did, and nothing may be written there any more.
        """
        there = _read(self.path)
        if there.get("token", self.token) != self.token:
            raise Held(
                f"{self.path.parent} was taken over by another process ({_words(there)}) while this one did "
                "not answer: it ends without writing more, what is there is the other's"
            )

    def release(self) -> None:
        """Let go; in a fork of the holder this does nothing."""
        if self._ended.is_set() or os.getpid() != self._pid:
            return
        here = self.is_at(self.path) and self.read().get("token") == self.token
        with self._using:
            self._ended.set()
            with suppress(OSError):
                if here and os.name != "nt":
                    self.path.unlink(missing_ok=True)  # before others may lock it
            os.close(self._handle)
            with suppress(OSError):
                if here and os.name == "nt":  # which removes no open file
                    self.path.unlink()
        _mine.pop((self._pid, str(self.path)), None)

    def _live(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._beat += 1
            with suppress(OSError), self._using:  # a full disk or a lost server: the next one may go through
                if not self._ended.is_set() and _read_handle(self._handle).get("token") in (None, self.token):
                    self._write()

    def read(self) -> dict[str, Any]:
        """What the file that this lock has open holds."""
        with self._using:
            return {} if self._ended.is_set() else _read_handle(self._handle)

    def is_at(self, path: Path) -> bool:
        """Whether ``path`` is that file."""
        return not self._ended.is_set() and _is_at(self._handle, path)

    def _write(self) -> None:
        facts = {
            "host": platform.node(),
            "pid": self._pid,
            "since": self._since,
            "machine": _machine(),
            "token": self.token,
            "beat": self._beat,
        }
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.write(self._handle, json.dumps(facts).ljust(_BYTES - 1).encode("ascii") + b"\n")
        os.fsync(self._handle)


def take(path: Path, what: str, remedy: str, make_folder: bool = False) -> Lock:
    """Take a lock.

    Args:
        path: the file to lock.
        what: what its holder does, such as "another training writes to runs/a".
        remedy: what the user can do, such as "wait for it, or choose another --save-dir".
        make_folder: make its folder where it is missing.

    Raises:
        Held: another process holds it; the text names its machine, process and start.
        OSError: the file cannot be written.
    """
    # fcntl's locks belong to the process: it must not open a file that it holds, since closing would free it.
    path = path.parent.resolve() / path.name
    with _guard:
        if (os.getpid(), str(path)) in _mine:
            raise Held(f"{what} (this process, in another thread or call): {remedy}")
        handle, locked = _open_free(path, what, remedy, make_folder)
        try:
            lock = _mine[os.getpid(), str(path)] = Lock(path, handle)
        except OSError:  # a full disk
            os.close(handle)
            raise
    if not locked:
        time.sleep(min(1.0, BEAT_SECONDS))  # two that began together: the last that wrote has it
        if _read(path).get("token") != lock.token:
            there = _read(path)
            lock.release()
            raise Held(f"{what} ({_words(there)}): {remedy}")
    lock.start()
    return lock


@contextmanager
def holding(path: Path, what: str, remedy: str, make_folder: bool = False) -> Iterator[Lock]:
    """Hold a lock inside the block (:func:`take`)."""
    lock = take(path, what, remedy, make_folder)
    try:
        yield lock
    finally:
        lock.release()


@contextmanager
def holding_out_folder(path: Path, name: str, command: str) -> Iterator[None]:
    """Hold the folder of ``--out`` inside the block; it is made where it is missing.

    Args:
        path: the folder.
        name: of its lock file.
        command: what works there, as users type it.

    Raises:
        MoleblendError: the command works there already, or the folder cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise MoleblendError(f"--out {path} is a file: name a folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MoleblendError(
            f"--out {path} cannot be made ({error.strerror or error}): name another folder"
        ) from error
    what = f"another {command} works in {path}"
    with holding(path / name, what, "wait for it, or name another folder by --out"):
        yield


def lock_file(target: Path) -> Path:
    """The file whose lock stands for ``target``: hidden, beside it, so that ``target`` need not exist."""
    return target.with_name(f".{target.name}.lock")


def _open_free(path: Path, what: str, remedy: str, make_folder: bool) -> tuple[int, bool]:
    """Open the file once its earlier holder is known to be gone; and whether the system locked it."""
    until = time.monotonic() + GRACE_SECONDS
    while True:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | _flags(), 0o666)
        except FileNotFoundError:
            if not make_folder:
                raise
            continue  # another process ended just now and took its folder along
        try:
            if (locked := _try_lock(handle)) is not False:
                if not _is_at(handle, path):  # its holder ended between our two steps
                    os.close(handle)
                    continue
                there = _read_handle(handle)
                if not there or (locked and there.get("machine") == _machine()):
                    return handle, bool(locked)
                if not _shows_life(path, there):
                    logger.warning(f"{path}: its holder ({_words(there)}) is silent and counts as ended")
                    return handle, bool(locked)
            elif time.monotonic() < until:
                os.close(handle)
                time.sleep(0.1)
                continue
            raise Held(f"{what} ({_words(_read_handle(handle))}): {remedy}")
        except BaseException:
            with suppress(OSError):
                os.close(handle)
            raise


def _flags() -> int:
    return getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def _try_lock(handle: int) -> bool | None:
    """Whether the lock was free; ``None`` where system or file system has no locks."""
    for lock in (_fcntl_lock, _msvcrt_lock):
        try:
            lock(handle)
        except ImportError:
            continue
        except OSError as error:
            return False if error.errno in _TAKEN else None
        return True
    return None


def _fcntl_lock(handle: int) -> None:
    fcntl: Any = importlib.import_module("fcntl") if os.name != "nt" else _absent()
    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _msvcrt_lock(handle: int) -> None:
    msvcrt: Any = importlib.import_module("msvcrt")
    os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
    msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)


def _absent() -> Any:  # noqa: ANN401  never returns
    raise ImportError("fcntl")


def _shows_life(path: Path, there: dict[str, Any]) -> bool:
    """Whether the count of a holder rises while we watch; opened each time, NFS looks at the server."""
    until = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < until:
        time.sleep(min(1.0, BEAT_SECONDS))
        now = _read(path)
        if not now:
            return False  # it let go
        if (now.get("token"), now.get("beat")) != (there.get("token"), there.get("beat")):
            return True
    return False


def _read(path: Path) -> dict[str, Any]:
    """What the holder wrote, empty where there is none."""
    own = _mine.get((os.getpid(), str(path)))
    if own is not None and own.is_at(path):  # opening and closing it would free the lock
        return own.read()
    try:
        handle = os.open(path, os.O_RDONLY | _flags())
    except OSError:
        return {}
    try:
        return _read_handle(handle)
    finally:
        os.close(handle)


def _read_handle(handle: int) -> dict[str, Any]:
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        there = json.loads(os.read(handle, _BYTES).decode("utf-8", "replace"))
    except (ValueError, OSError):
        return {}
    return there if isinstance(there, dict) and "token" in there else {}


def _words(there: dict[str, Any]) -> str:
    if not there:
        return "whose name is not known yet"
    return f"host {there.get('host')}, process {there.get('pid')}, since {there.get('since')}"


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _machine() -> str:
    """This machine since its last start: containers share it, machines of one name do not."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{platform.node()} {uuid.getnode():x}"
