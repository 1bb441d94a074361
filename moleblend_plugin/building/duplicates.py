"""Molecules that a build's inputs hold more than once, and labels of them that differ.

Found from the finished rows on disk, in as many passes as keep memory bounded, whatever the number of rows:
every row carries a 64-bit hash of its molecule (``chem.identity.likeness``, level ``exact``).

Legend: D molecules of a pass that are there more than once, T tasks.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from math import ceil
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.building.finished_rows import Finished
from moleblend_plugin.building.plan import SPLITS

Rows = Callable[[], Iterator[tuple[str, Finished]]]
"""A fresh pass over (part, outcome) of every row; part "" for one that is no molecule."""

HASHES: Final = 8_000_000
"""Molecules that one pass compares: 64 MB, and as much again while they are sorted."""
_GROUPS: Final = 500_000
_LABELS: Final = 16_000_000
"""Molecules, and labels of theirs, that one pass collects: some 100 and 256 MB."""
EXAMPLES: Final = 1000
"""Molecules whose row ids a report lists; counts are of all."""
_ROW_IDS: Final = 20
"""Row ids of one molecule that are listed."""


def duplicates(rows: Rows, n_molecules: int, targets: tuple[str, ...]) -> dict[str, Any]:
    """Facts for the build report, plain values.

    Args:
        rows: gives the finished rows as often as asked.
        n_molecules: molecules among them.
        targets: names of the T labels.

    Returns:
        ``molecules`` that stand in more than one of the ``rows`` counted, how many ``across_parts``;
        ``conflicts``: ``molecules`` whose labels differ, ``tasks`` with their number and ``largest_gap``;
        ``examples`` with ``row_ids`` by part and the tasks in ``conflicts``, those that conflict first.
    """
    found = _Found(targets)
    for repeated in _repeated(rows, n_molecules):
        size = max(1, min(_GROUPS, _LABELS // max(1, len(targets))))
        for start in range(0, len(repeated), size):
            found.add(_Groups(rows, repeated[start : start + size], len(targets)))
    return found.report(rows)


def _repeated(rows: Rows, n_molecules: int) -> Iterator[npt.NDArray[np.uint64]]:
    """Sorted hashes that are there more than once, in disjoint portions."""
    passes = ceil(n_molecules / HASHES)
    for number in range(passes):
        mine = (done.identity for part, done in rows() if part and done.identity % passes == number)
        hashes, counts = np.unique(np.frombuffer(array("Q", mine), np.uint64), return_counts=True)
        if (counts > 1).any():
            yield hashes[counts > 1]


class _Groups:
    """Counts and extremes of labels of some molecules.

    Attributes:
        names: hashes [D].
        counts: rows of each [D].
        parts: bit p: one is in part p, uint8 [D].
        gaps: largest difference of labels, float64 [D, T]; NaN where none is known.
    """

    def __init__(self, rows: Rows, names: npt.NDArray[np.uint64], n_tasks: int) -> None:
        self.names = names
        self.counts = np.zeros(len(names), np.int64)
        self.parts = np.zeros(len(names), np.uint8)
        high = np.full((len(names), n_tasks), np.nan)
        low = high.copy()
        places = {name: place for place, name in enumerate(names.tolist())}
        for part, done in rows():
            place = places.get(done.identity) if part else None
            if place is not None:
                self.counts[place] += 1
                self.parts[place] |= 1 << SPLITS.index(part)
                np.fmax(high[place], done.labels, out=high[place])
                np.fmin(low[place], done.labels, out=low[place])
        self.gaps = high - low


class _Found:
    """What the passes found, added up."""

    def __init__(self, targets: tuple[str, ...]) -> None:
        self._targets = targets
        self._molecules = self._rows = self._across = self._conflicts = 0
        self._by_task = np.zeros(len(targets), np.int64)
        self._largest = np.zeros(len(targets))
        self._shown: list[tuple[bool, int, list[str]]] = []

    def add(self, groups: _Groups) -> None:
        differ = groups.gaps > 0  # [D, T]; False for NaN
        self._molecules += len(groups.names)
        self._rows += int(groups.counts.sum())
        several = (groups.parts & (groups.parts - 1)) != 0  # more than one bit
        self._across += int(several.sum())
        self._conflicts += int(differ.any(1).sum())
        self._by_task += differ.sum(0)
        self._largest = np.fmax(self._largest, np.fmax.reduce(groups.gaps, axis=0, initial=0.0))
        # Few are shown: those that conflict, then those in several parts.
        order = np.lexsort((~several, ~differ.any(1)))[:EXAMPLES]
        for place in order.tolist():
            tasks = [task for task, flag in zip(self._targets, differ[place], strict=True) if flag]
            self._shown.append((not tasks, int(groups.names[place]), tasks))
        self._shown = sorted(self._shown, key=lambda shown: shown[0])[:EXAMPLES]

    def report(self, rows: Rows) -> dict[str, Any]:
        """The facts; reads the rows once more for the ids of examples."""
        return {
            "level": "exact",
            "molecules": self._molecules,
            "rows": self._rows,
            "across_parts": self._across,
            "conflicts": {
                "molecules": self._conflicts,
                "tasks": {
                    task: {"molecules": int(count), "largest_gap": float(gap)}
                    for task, count, gap in zip(self._targets, self._by_task, self._largest, strict=True)
                    if count
                },
            },
            "examples": self._examples(rows),
        }

    def _examples(self, rows: Rows) -> list[dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {
            name: {"row_ids": {}, "conflicts": tasks} for _, name, tasks in self._shown
        }
        if found:
            for part, done in rows():
                if part and done.identity in found:
                    ids = found[done.identity]["row_ids"].setdefault(part, [])
                    if len(ids) < _ROW_IDS:
                        ids.append(f"{done.source}:{done.row}")
        return list(found.values())


def duplicates_line(found: dict[str, Any]) -> str:
    """What a user must know of :func:`duplicates`, in one line; "" where nothing contradicts or leaks."""
    conflicts, across = found["conflicts"], found["across_parts"]
    if not conflicts["molecules"] and not across:
        return ""
    line = f"{found['molecules']:,} molecules stand in more than one row ({found['rows']:,} rows)"
    if across:
        line += f"; {across:,} of them in more than one part"
    if conflicts["molecules"]:
        task, worst = max(conflicts["tasks"].items(), key=lambda item: item[1]["largest_gap"])
        ids = [row_id for ids in found["examples"][0]["row_ids"].values() for row_id in ids]
        line += (
            f"; labels of {conflicts['molecules']:,} differ (by up to {worst['largest_gap']:.3g}, {task}; "
            f"such as {', '.join(ids[:2])})"
        )
    return f"{line}: see duplicates in build_report.json"
