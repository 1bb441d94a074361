"""How far the pieces of a run have come, together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

Report = Callable[[int, int], None]
"""Told rows that are finished, and rejected ones among them."""


class Rows:
    """Rows of all pieces, as tasks report them while they run and at their end.

    Args:
        report: told the sums, in the thread that calls :meth:`report`.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._running: dict[int, tuple[int, int]] = {}
        self._finished: dict[int, tuple[int, int]] = {}

    def take(self, facts: Mapping[str, Any]) -> None:
        """Take a report of a task; called in any thread."""
        with self._lock:
            self._running[facts["number"]] = facts["rows"], facts["rejected"]

    def finish(self, number: int, facts: Mapping[str, Any]) -> None:
        """A piece is finished, with these counts."""
        with self._lock:
            self._finished[number] = facts["rows"], facts["rejected"]

    def report(self) -> None:
        """Report the sums."""
        with self._lock:
            counts = (self._running | self._finished).values()
            rows, rejected = (sum(count[place] for count in counts) for place in (0, 1))
        self._report(rows, rejected)
