"""Compiled loops on several threads; they work without Python's lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def run_parts(ends: Sequence[int], work: Callable[[int, int, int], Result]) -> list[Result]:
    """What ``work(part, first, last)`` gives for each two neighbouring ends, on a thread each."""
    parts = list(zip(range(len(ends) - 1), ends[:-1], ends[1:], strict=True))
    if len(parts) == 1:
        return [work(*parts[0])]
    with ThreadPoolExecutor(len(parts)) as pool:
        return [done.result() for done in [pool.submit(work, *part) for part in parts]]
