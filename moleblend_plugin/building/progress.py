"""How a build reports its progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.building.outcomes import Rejected
from moleblend_plugin.chem.readers.source import Source


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """One piece of news.

    Attributes:
        kind: "choice": how the request was understood (``line``); "note": something to know (``line``);
            "rows": how far the work has come (the others).
        line: for people.
        rows: finished.
        rejected: those of them that are rejected.
        total: rows in all, where that is known.
        fraction: how far the work has come, 0 to 1; runs ahead by what is under way without a ``total``.
    """

    kind: Literal["choice", "note", "rows"]
    line: str = ""
    rows: int = 0
    rejected: int = 0
    total: int | None = None
    fraction: float = 0.0


Progress = Callable[[BuildProgress], None]


def silent(news: BuildProgress) -> None:
    """Report nothing."""


class RowCounter:
    """Reports the rows of one build.

    Args:
        sources: that are read.
        limit: rows to read in all, or ``None``.
        progress: who is told.
        total: rows in all, where that is known already.
    """

    def __init__(
        self, sources: Sequence[Source], limit: int | None, progress: Progress, total: int | None = None
    ) -> None:
        self._sources, self._progress = sources, progress
        self._total = total
        if total is not None:
            return
        counts = [None if progress is silent else source.quick_count() for source in sources]
        counted = limit if None in counts else sum(filter(None, counts))
        self._total = counted if limit is None or counted is None else min(counted, limit)

    def report(self, rows: FinishedRows) -> None:
        """Report what is finished."""
        count = len(rows)
        fraction = min(1.0, count / self._total) if self._total else self._fraction_read()
        rejected = rows.counts[Rejected]
        self._progress(BuildProgress("rows", "", count, rejected, self._total, fraction))

    def report_resumed(self, rows: FinishedRows) -> None:
        """Report what an interrupted build had finished."""
        of = f" of {self._total:,}" if self._total else ""
        self._progress(BuildProgress("note", f"resuming: {len(rows):,}{of} rows are there"))

    def _fraction_read(self) -> float:
        """Part of the inputs' bytes that was read."""
        read = sum(source.fraction_read * source.n_bytes for source in self._sources)
        return read / max(1, sum(source.n_bytes for source in self._sources))
