"""Flipped bits: damages a file at random places, and says what a reader made of each."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

OUTCOMES = ("refused", "left out", "unchanged", "WRONG")
"""What a reader may do with a damaged file; ``WRONG`` is what must never be."""

LIMIT_SECONDS = 60


def flip(good: bytes, rng: random.Random) -> bytes:
    """``good`` with one to eight bits of one random byte turned over."""
    damaged = bytearray(good)
    damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
    return bytes(damaged)


def truncate(good: bytes, rng: random.Random) -> bytes:
    """The first part of ``good``."""
    return good[: rng.randrange(len(good))]


def count_outcomes(
    path: Path, read: Callable[[Path], str], count: int, seed: int, damage: Callable[..., bytes] = flip
) -> Counter[str]:
    """Damage ``path`` ``count`` times, each time afresh, and count what ``read`` says.

    Reading happens in forks of 50 files each: one that crashes or hangs is counted as such, not the end.
    """
    good, rng, counts = path.read_bytes(), random.Random(seed), Counter[str]()
    for start in range(0, count, 50):
        files = []
        for number in range(start, min(start + 50, count)):
            files.append(path.with_name(f"damaged{number}{path.suffix}"))
            files[-1].write_bytes(damage(good, rng))
        counts += _in_fork(files, read)
        for file in files:
            file.unlink()
    path.write_bytes(good)
    return counts


def _in_fork(files: list[Path], read: Callable[[Path], str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    while files:
        out, into = os.pipe()
        child = os.fork()
        if child == 0:  # every way out must end the process, not the test run
            try:
                for file in files:
                    _alarm()
                    os.write(into, read(file).encode() + b"\n")
            finally:
                os._exit(0)
        os.close(into)
        with os.fdopen(out) as lines:
            heard = lines.read().split("\n")[:-1]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        counts.update(heard)
        if len(heard) < len(files):
            counts[f"ended by signal {-status}" if status < 0 else "unknown exception"] += 1
        files = files[len(heard) + 1 :]
    return counts


def _alarm() -> None:
    import signal

    signal.alarm(LIMIT_SECONDS)
