"""One training per ``--save-dir``: checkpoints of two runs in one folder cannot be distinguished."""

from __future__ import annotations

import atexit
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.locks import Lock, take

LOCK_NAME: Final = ".lock"

_for_process: list[Lock] = []


@contextmanager
def holding_run(args: Namespace, is_first: bool) -> Iterator[Lock | None]:
    """Hold the run's folder inside the block; the first process does so for all of a run.

    Args:
        args: the run's options.
        is_first: whether this is the process that saves.

    Raises:
        Held: another training writes there.
        MoleblendError: the folder cannot be written to.
    """
    if not is_first or args.no_save:
        yield None
        return
    lock = _take(args.save_dir, "--save-dir")
    try:
        yield lock
    finally:
        lock.release()


def hold_for_process(args: Namespace) -> None:
    """Hold the folders that a run under Uni-Core writes to, until its process ends.

    Uni-Core writes each checkpoint to ``--tmp-save-dir`` first, under the same names for every run, so
    that folder must be the run's own too.

    Raises:
        Held: another training writes there.
        MoleblendError: a folder cannot be written to.
    """
    if args.no_save or getattr(args, "distributed_rank", 0) != 0 or _for_process:
        return
    folders = {Path(args.save_dir).resolve(): "--save-dir"}
    folders.setdefault(Path(args.tmp_save_dir).resolve(), "--tmp-save-dir")
    for folder, flag in folders.items():
        try:
            _for_process.append(_take(str(folder), flag))
        except MoleblendError:
            release_for_process()
            raise
    atexit.register(release_for_process)


def check_for_process() -> None:
    """Make sure that nobody took over what :func:`hold_for_process` holds; call it before writing there.

    Raises:
        Held: somebody did.
    """
    for lock in _for_process:
        lock.check()


def release_for_process() -> None:
    """Let go of what :func:`hold_for_process` holds."""
    while _for_process:
        _for_process.pop().release()


def _take(folder: str, flag: str) -> Lock:
    what = f"another training writes to {flag} {folder}"
    remedy = f"wait until it ends (or end it), or choose another {flag}"
    try:
        return take(Path(folder) / LOCK_NAME, what, remedy, make_folder=True)
    except OSError as error:
        raise MoleblendError(
            f"{flag} {folder!r} cannot be written to ({error.strerror or error}): choose another folder"
        ) from error
