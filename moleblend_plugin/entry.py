"""What every command does first, before anything that computes is imported. Standard library only."""

from __future__ import annotations

import atexit
import gc
import io
import math
import os
import sys
import threading
from pathlib import Path
from typing import Final, NoReturn

FAILED: Final = 2
"""Exit code for what the user can put right."""

IDLE_THREADS_SLEEP: Final = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""For GCC's and for Intel's OpenMP: a thread without work leaves its core to others at once."""


OBJECTS_BETWEEN_COLLECTIONS: Final = 50_000
"""New containers after which a command's garbage collector looks for circles (700 by default). Importing
torch makes hundreds of thousands that stay, and each look walks over them again."""


def begin() -> None:
    """Prepare the process of a command: its idle threads sleep, no character ends it, imports are quick.

    What the user's environment says about threads stays. Python's standard streams write a character that
    the terminal's encoding lacks as ``\\xb5``, as standard error always does.
    """
    let_idle_threads_sleep()
    if gc.get_threshold()[0] < OBJECTS_BETWEEN_COLLECTIONS:
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
        atexit.register(gc.freeze)  # the interpreter's last collection would walk over every module
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def leave(code: int) -> NoReturn:
    """End the process of a command, with what is to be done at its end, but without taking it apart.

    The interpreter frees every object of every module one by one, which takes a fifth of a short command;
    the system frees all at once. Where other threads run, the ordinary way out waits for them.
    """
    if threading.active_count() > 1:
        raise SystemExit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError:  # nobody reads it any more, or the disk is full
            code = code or FAILED
    os._exit(code)


def let_idle_threads_sleep() -> None:
    """Set what the OpenMP library reads when torch is loaded: idle threads sleep.

    By default they spin for a while, and two processes on the same cores then wait for each other's
    spinning threads: six times the time (docs/runs.md).
    """
    for name, value in IDLE_THREADS_SLEEP.items():
        os.environ.setdefault(name, value)


SMALL: Final = 10_000_000
"""Weights below which a run takes one thread: an estimate, not a measured limit (docs/runs.md)."""


def threads_for(weights: int, processes: int = 1) -> int | None:
    """Threads for the arithmetic of a network on the CPU; ``None`` where the user's environment says it.

    The number follows from network and machine, never from the load of a moment: sums, and so the bits of a
    run, depend on it.

    Args:
        weights: of the network.
        processes: of the run on this machine.
    """
    if any(name in os.environ for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")):
        return None
    return 1 if weights < SMALL else max(1, usable_cores() // processes)


def usable_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: by affinity, and by the quota of its container (cgroup).

    Args:
        root: where the cgroup is mounted.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _quota(root: Path) -> float | None:
    """Cores' worth of time that a cgroup (version 2, else 1) grants; ``None`` for no limit."""
    try:
        words = (root / "cpu.max").read_text(encoding="ascii").split()
    except OSError:
        try:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            words = [(root / "cpu" / name).read_text(encoding="ascii").strip() for name in names]
        except OSError:
            return None
    try:
        quota, period = float(words[0]), float(words[1])
    except (ValueError, IndexError):  # "max"
        return None
    return quota / period if quota > 0 and period > 0 else None


def one_line(text: object) -> str:
    """``text`` with its control characters spelt out: a name may hold line ends, or what moves a cursor."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text)
    )
