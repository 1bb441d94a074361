"""Molecules that a build's inputs hold more than once, and labels of them that differ.

Every finished row carries a 64-bit hash of its molecule (``chem.identity.likeness``, level ``exact``). SQLite
sorts by it, so that memory stays bounded, whatever the number of rows.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import numpy as np

from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.building.outcomes import labels_from_bytes
from moleblend_plugin.schema import PARTS
from moleblend_plugin.splits.likeness_report import EXAMPLES

_ROW_IDS: Final = 20
"""Row ids of one molecule that are listed."""

_REPEATED: Final = """
    SELECT identity, number, source || ':' || row, targets
    FROM (SELECT *, row_number() OVER (ORDER BY place) - 1 AS number FROM molecules)
    WHERE identity IN (SELECT identity FROM molecules GROUP BY identity HAVING count(*) > 1)
    ORDER BY identity, number
"""
"""Rows of molecules that are there more than once, one molecule after the other; numbered among all."""


def duplicates(rows: FinishedRows, parts: bytes, targets: tuple[str, ...]) -> dict[str, Any]:
    """Facts for the build report, plain values.

    Args:
        rows: the finished rows.
        parts: part (index into ``PARTS``) of every molecule.
        targets: names of the T labels.

    Returns:
        ``molecules`` that stand in more than one of the ``rows`` counted, how many ``across_parts``;
        ``conflicts``: ``molecules`` whose labels differ, ``tasks`` with their number and ``largest_gap``;
        ``examples`` with ``row_ids`` by part and the tasks in ``conflicts``, those that conflict first.
    """
    found = _Found(rows, parts, targets)
    # Few are shown: those that conflict, then those in several parts.
    shown = heapq.nsmallest(EXAMPLES, found.molecules(), key=lambda example: example[0])
    return {
        "level": "exact",
        "molecules": found.count,
        "rows": found.rows,
        "across_parts": found.across,
        "conflicts": {
            "molecules": found.conflicts,
            "tasks": {
                task: {"molecules": int(count), "largest_gap": float(gap)}
                for task, count, gap in zip(targets, found.by_task, found.largest, strict=True)
                if count
            },
        },
        "examples": [example for _, example in shown],
    }


class _Found:
    """What the repeated molecules come to, added up while they are read."""

    def __init__(self, rows: FinishedRows, parts: bytes, targets: tuple[str, ...]) -> None:
        self._cursor = rows.sql.execute(_REPEATED)
        self._parts, self._targets = parts, targets
        self.count = self.rows = self.across = self.conflicts = 0
        self.by_task = np.zeros(len(targets), np.int64)  # [T]
        self.largest = np.zeros(len(targets))  # [T]

    def molecules(self) -> Iterator[tuple[tuple[bool, bool, int], dict[str, Any]]]:
        """(rank, example) of every molecule that is there more than once."""
        for identity, members in groupby(self._cursor, key=lambda row: row[0]):
            ids: dict[str, list[str]] = {}
            high = np.full(len(self._targets), np.nan)  # [T]
            low = high.copy()
            for _, number, row_id, targets in members:
                of_part = ids.setdefault(PARTS[self._parts[number]], [])
                if len(of_part) < _ROW_IDS:
                    of_part.append(row_id)
                np.fmax(high, labels_from_bytes(targets), out=high)
                np.fmin(low, labels_from_bytes(targets), out=low)
                self.rows += 1
            gaps = high - low  # NaN where no label is known
            tasks = [task for task, gap in zip(self._targets, gaps, strict=True) if gap > 0]
            self.count += 1
            self.across += len(ids) > 1
            self.conflicts += bool(tasks)
            self.by_task += gaps > 0
            self.largest = np.fmax(self.largest, gaps)
            yield (not tasks, len(ids) < 2, identity), {"row_ids": ids, "conflicts": tasks}


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
