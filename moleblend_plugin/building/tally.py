"""Counts of a build."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.building.finished_rows import Finished
from moleblend_plugin.data.store.label_range import LabelRange

NAMED_ROWS: Final = 1000
"""Row ids that a report lists of one kind of doubt."""
UNKNOWN_SPLIT: Final = "unknown split"
"""Kind of the rejection of a row whose split column names no part."""
_SHOWN_WORD: Final = 40
"""Characters of such a word that are told."""
_SHOWN_WORDS: Final = 10


@dataclass
class Tally:
    """Counts of a build. Every row read is a molecule, rejected, excluded or left out.

    Attributes:
        excluded: rows in no part of a given split.
        left_out: rows whose molecule ``--exclude`` lists.
        unknown_parts: rows by what their split column holds, where that is no part.
        duplicates: molecules in several rows (``_build_duplicates``).
        resumed: rows that an interrupted build had finished.
        stereo_unknown: molecules whose source leaves open what stereochemistry they have.
        stereo_unknown_rows: the first of them, ``file:row``.
        seconds: this build's own.
        range: what is odd about the labels.
    """

    targets: tuple[str, ...] = ()
    rows: Counter[str] = field(default_factory=Counter)
    molecules: int = 0
    with_3d: int = 0
    coords_from: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    splits: dict[str, int] = field(default_factory=dict)
    excluded: int = 0
    left_out: int = 0
    resumed: int = 0
    unknown_parts: Counter[str] = field(default_factory=Counter)
    duplicates: dict[str, Any] = field(default_factory=dict)
    split_sha256: str = ""
    first_reason: str = ""
    stereo_unknown: int = 0
    stereo_unknown_rows: list[str] = field(default_factory=list)
    seconds: float = 0.0
    range: LabelRange = field(init=False)
    _present: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.range = LabelRange(self.targets)

    def count(self, part: str, done: Finished) -> None:
        """Add an outcome; ``part`` is "" for one that is no molecule."""
        self.rows[done.source] += 1
        if not part and not done.reason:
            self.left_out += 1
            return
        if not part:
            self.first_reason = self.first_reason or done.reason
            self.rejected[done.reason.partition(":")[0]] += 1
            if done.reason.startswith(UNKNOWN_SPLIT):
                self.unknown_parts[done.split.strip()[:_SHOWN_WORD]] += 1
            return
        self.molecules += 1
        self.with_3d += done.with_3d
        if done.stereo_unknown:
            self.stereo_unknown += 1
            if len(self.stereo_unknown_rows) < NAMED_ROWS:
                self.stereo_unknown_rows.append(f"{done.source}:{done.row}")
        self.coords_from[done.coords_from.partition(":")[0]] += 1
        if part not in self._present:
            self._present[part] = np.zeros(len(self.targets), np.int64)
        self._present[part] += ~np.isnan(done.labels)
        self.range.add(f"{done.source}:{done.row}", done.labels)

    @property
    def unknown_words(self) -> str:
        """Words of a split column that name no part, with their rows; "" where there are none."""
        words = [f"{word!r} ({rows:,} rows)" for word, rows in self.unknown_parts.most_common(_SHOWN_WORDS)]
        more = len(self.unknown_parts) - len(words)
        return ", ".join(words) + (f" and {more:,} more" if more else "")

    @property
    def labels(self) -> dict[str, dict[str, int]]:
        """Labels that are not missing, by part and target."""
        return {
            part: dict(zip(self.targets, counts.tolist(), strict=True))
            for part, counts in self._present.items()
        }

    @property
    def n_rows(self) -> int:
        """Rows read."""
        return self.rows.total()

    @property
    def rate(self) -> float:
        """Rows per second of this build."""
        return (self.n_rows - self.resumed) / max(self.seconds, 1e-9)
