"""Labels that are odd though they are numbers: columns of one value, and values far from all others.

T labels per molecule, S rows kept as a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from moleblend_plugin.schema import Float64Array

_SAMPLE: Final = 1 << 21
"""Labels kept in all, 16 MiB: rows beyond are thinned out evenly."""

_LEAST_ROWS: Final = 1000
_BUFFER: Final = 1024
"""Rows looked at together."""

_FEWEST: Final = 5
"""Labels of a column of which anything is said."""

_FAR: Final = 1000.0
"""How far from the median, in widths of the middle half of the values, a value is far."""

_APART: Final = 30.0
"""How many times farther than the farthest other value: a long tail has no such gap."""

_MOST: Final = 0.05
"""Largest share of values that are far from the others; more of them are a group of their own."""


class LabelRange:
    """Collects labels row by row; exact for extremes, by a sample for what is usual.

    Args:
        names: of the T columns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        width = len(names)
        self.names = tuple(names)
        self._low, self._high = np.full(width, np.inf), np.full(width, -np.inf)
        self._low_row, self._high_row = [""] * width, [""] * width
        self._count = np.zeros(width, np.int64)
        self._ids: list[str] = []
        self._rows: list[Float64Array] = []
        self._sample: list[Float64Array] = []
        self._step, self._seen = 1, 0
        self._room = max(_LEAST_ROWS, _SAMPLE // max(1, width))

    def add(self, row_id: str, labels: Float64Array) -> None:
        """Take in a molecule's labels [T], NaN where one is missing."""
        if not self.names:
            return
        self._ids.append(row_id)
        self._rows.append(labels)
        if len(self._rows) == _BUFFER:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        rows = np.stack(self._rows)  # [R, T]
        known = ~np.isnan(rows)
        self._count += known.sum(0)
        low, high = np.where(known, rows, np.inf), np.where(known, rows, -np.inf)
        for places, values, best, ids in (
            (low.argmin(0), low.min(0), self._low, self._low_row),
            (high.argmax(0), high.max(0), self._high, self._high_row),
        ):
            better = values < best if best is self._low else values > best
            for column in np.flatnonzero(better):
                best[column] = values[column]
                ids[column] = self._ids[places[column]]
        for row in self._rows:
            if self._seen % self._step == 0:
                self._sample.append(row)
            self._seen += 1
            if len(self._sample) > self._room:
                self._sample = self._sample[::2]
                self._step *= 2
        self._ids, self._rows = [], []

    def warnings(self) -> list[str]:
        """A line for every column that is odd."""
        self._flush()
        if not self._sample:
            return []
        return [*self._constant(), *self._far()]

    def _constant(self) -> list[str]:
        one = (self._count >= _FEWEST) & (self._low == self._high)
        places = np.flatnonzero(one)
        if len(places) > 5:
            shown = ", ".join(repr(self.names[place]) for place in places[:5])
            return [f"{len(places)} of {len(self.names)} label columns hold one value only: {shown}, ..."]
        return [
            f"column {self.names[place]!r} holds {self._low[place]:g} in all of its {self._count[place]:,} "
            "labels: nothing can be learned from it"
            for place in places
        ]

    def _far(self) -> list[str]:
        sample = np.stack(self._sample)
        notes = []
        for place, name in enumerate(self.names):
            if self._count[place] < _FEWEST or {self._low[place], self._high[place]} <= {0.0, 1.0}:
                continue
            values = sample[:, place]
            values = values[~np.isnan(values)]
            if len(values) < _FEWEST:  # a column that is nearly empty, thinned out
                continue
            middle = float(np.median(values))
            usual, limit = _usual(values, middle, (self._low[place], self._high[place]))
            for end, row_id in (
                (self._low[place], self._low_row[place]),
                (self._high[place], self._high_row[place]),
            ):
                distance = abs(end - middle)
                if distance >= limit:
                    notes.append(
                        f"column {name!r} holds {end:g} in {row_id}, {distance / usual:.0e} widths of the "
                        f"middle half of the values from their median ({middle:g}): check its unit; "
                        "--missing-label names a number for missing"
                    )
        return notes


def _usual(values: Float64Array, middle: float, ends: tuple[float, float]) -> tuple[float, float]:
    """Half of ``values`` lie in an interval this wide; and from which distance to ``middle`` on one is far.

    The distance is infinite where none is.
    """
    away = np.sort(np.abs(np.append(values, [end for end in ends if end not in values]) - middle))
    width = float(np.subtract(*np.percentile(values, (75, 25))))
    if not width:  # most values are the same: the others tell what is usual
        others = away[(away > 0) & (away < away[-1])]
        width = float(np.median(others)) if len(others) else abs(middle) or 1.0
    gaps = (away[1:] > _FAR * width) & (away[1:] > _APART * np.maximum(away[:-1], width))
    first = int(gaps.argmax()) + 1 if gaps.any() else len(away)
    few = len(away) - first <= max(1, _MOST * len(away))
    return width, float(away[first]) if few and first < len(away) else np.inf
