"""What came of a build: counts while it divides, and the typed result that ``build_report.json`` holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.building.duplicates import duplicates_line
from moleblend_plugin.building.labels import few, few_names
from moleblend_plugin.building.outcomes import Molecule, Rejected
from moleblend_plugin.building.terms import BuildTerms
from moleblend_plugin.data.store.label_range import LabelRange
from moleblend_plugin.data.store.meta import fingerprint
from moleblend_plugin.schema import PARTS

NAMED_ROWS: Final = 1000
"""Row ids that a report lists of one kind of doubt."""
_SHOWN_WORD: Final = 40
"""Characters of an unknown word of a split column that are told."""
_SHOWN_WORDS: Final = 10


@dataclass
class Tally:
    """Counts of a build. Every row read is a molecule, rejected or excluded.

    Attributes:
        targets: names of the T labels.
        rows: by input.
        excluded: by cause (``outcomes.Excluded``).
        unknown_parts: rejected rows by what their split column holds, where that is no part.
        stereo_unknown_rows: molecules whose source leaves open what stereochemistry they have, the first of
            them, ``file:row``.
        resumed: rows that an interrupted build had finished.
    """

    targets: tuple[str, ...]
    resumed: int
    rows: Counter[str] = field(default_factory=Counter)
    molecules: int = 0
    with_3d: int = 0
    coords_from: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    unknown_parts: Counter[str] = field(default_factory=Counter)
    first_reason: str = ""
    stereo_unknown: int = 0
    stereo_unknown_rows: list[str] = field(default_factory=list)
    range: LabelRange = field(init=False)
    _present: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.range = LabelRange(self.targets)

    def add(self, part: str, molecule: Molecule) -> None:
        """Count a molecule."""
        row_id = f"{molecule.source}:{molecule.row}"
        self.rows[molecule.source] += 1
        self.molecules += 1
        self.with_3d += molecule.with_3d
        if molecule.stereo_unknown:
            self.stereo_unknown += 1
            if len(self.stereo_unknown_rows) < NAMED_ROWS:
                self.stereo_unknown_rows.append(row_id)
        self.coords_from[molecule.coords_from.partition(":")[0]] += 1
        if part not in self._present:
            self._present[part] = np.zeros(len(self.targets), np.int64)
        self._present[part] += ~np.isnan(molecule.labels)
        self.range.add(row_id, molecule.labels)

    def reject(self, bad: Rejected) -> None:
        """Count a rejected row."""
        self.rows[bad.source] += 1
        self.first_reason = self.first_reason or bad.reason
        self.rejected[bad.reason.partition(":")[0]] += 1
        if bad.unknown_part is not None:
            self.unknown_parts[bad.unknown_part.strip()[:_SHOWN_WORD]] += 1

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


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build made, and what it counted; ``build_report.json`` holds all but the first three.

    Attributes:
        out: the folder.
        stores: file by part; a part without molecules has none.
        warnings: what must not be overlooked, a line each.
        created: time of writing, ISO 8601, UTC.
        settings: what determined the stores' content.
        fingerprint: of ``settings``.
        sources: ``sha256`` and ``rows`` by input.
        rows: rows read.
        molecules: rows that are molecules.
        with_3d: molecules with coordinates.
        coords_from: molecules by where coordinates come from, or why there are none.
        stereo_unknown: molecules whose source leaves open what stereochemistry they have.
        stereo_unknown_rows: the first of them, ``file:row``.
        rejected: rows that are no molecule, or whose labels or part cannot be read.
        rejected_by_reason: the same by reason.
        excluded: rows left out as asked for.
        excluded_by_list: those of them whose molecule ``exclude`` lists.
        exclude: level and files of the molecules that are left out.
        unknown_split: rejected rows by what their split column holds.
        duplicates: molecules in several rows (``building.duplicates``).
        splits: molecules by part.
        split_sha256: checksum of the row ids of the parts.
        target_names: names of the labels.
        classes: by label, the words that were read as classes, and their numbers.
        notes: how files were read, where that is not plain.
        label_warnings: labels that are odd.
        labels: labels that are not missing, by part and name.
        workers: processes that converted.
        resumed_rows: rows that an interrupted build had finished.
        seconds: this build's own.
        rows_per_second: likewise.
    """

    out: Path
    stores: dict[str, Path]
    warnings: list[str]
    created: str
    settings: dict[str, Any]
    fingerprint: str
    sources: dict[str, dict[str, Any]]
    rows: int
    molecules: int
    with_3d: int
    coords_from: dict[str, int]
    stereo_unknown: int
    stereo_unknown_rows: list[str]
    rejected: int
    rejected_by_reason: dict[str, int]
    excluded: int
    excluded_by_list: int
    exclude: dict[str, Any] | None
    unknown_split: dict[str, int]
    duplicates: dict[str, Any]
    splits: dict[str, int]
    split_sha256: str
    target_names: list[str]
    classes: dict[str, dict[str, int]]
    notes: list[str]
    label_warnings: list[str]
    labels: dict[str, dict[str, int]]
    workers: int
    resumed_rows: int
    seconds: float
    rows_per_second: float

    def write(self, path: Path) -> None:
        """Write ``build_report.json``."""
        report = {name: fact for name, fact in asdict(self).items() if name not in _NOT_REPORTED}
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


_NOT_REPORTED: Final = ("out", "stores", "warnings")


def result_of(
    terms: BuildTerms,
    tally: Tally,
    repeated: dict[str, Any],
    splits: dict[str, int],
    split_sha256: str,
    settings: dict[str, Any],
    seconds: float,
) -> BuildResult:
    """The result.

    Args:
        terms: of the build.
        tally: what was counted.
        repeated: of :func:`~moleblend_plugin.building.duplicates.duplicates`.
        splits: molecules by part that has any.
        split_sha256: checksum of the row ids of the parts.
        settings: of the stores.
        seconds: that it took.
    """
    label_warnings = tally.range.warnings()
    rows = tally.rows.total()
    return BuildResult(
        out=terms.out,
        stores={part: terms.out / f"{part}.lmdb" for part in splits},
        warnings=[*_warnings(terms, tally, repeated, splits), *few([*terms.mixed, *label_warnings])],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        settings=settings,
        fingerprint=fingerprint(settings),
        sources={name: {"sha256": sha, "rows": tally.rows[name]} for name, sha in terms.checksums.items()},
        rows=rows,
        molecules=tally.molecules,
        with_3d=tally.with_3d,
        coords_from=dict(tally.coords_from.most_common()),
        stereo_unknown=tally.stereo_unknown,
        stereo_unknown_rows=tally.stereo_unknown_rows,
        rejected=tally.rejected.total(),
        rejected_by_reason=dict(tally.rejected.most_common()),
        excluded=tally.excluded.total(),
        excluded_by_list=tally.excluded["list"],
        exclude=terms.exclude,
        unknown_split=dict(tally.unknown_parts.most_common()),
        duplicates=repeated,
        splits={part: splits.get(part, 0) for part in PARTS},
        split_sha256=split_sha256,
        target_names=list(terms.targets),
        classes=terms.classes,
        notes=terms.notes,
        label_warnings=label_warnings,
        labels=tally.labels,
        workers=terms.workers,
        resumed_rows=tally.resumed,
        seconds=round(seconds, 3),
        rows_per_second=round((rows - tally.resumed) / max(seconds, 1e-9), 1),
    )


def _warnings(
    terms: BuildTerms, tally: Tally, repeated: dict[str, Any], splits: dict[str, int]
) -> Iterator[str]:
    """What a user must not overlook, a line each."""
    if tally.unknown_parts:
        column = f"{terms.split.partition(':')[2]!r} holds {tally.unknown_words}"
        yield f"column {column}, which name no part: such rows are rejected"
    if repeats := duplicates_line(repeated):
        yield repeats
    if tally.stereo_unknown:
        yield (
            f"{tally.stereo_unknown:,} molecules have no coordinates that would determine all of their "
            f"stereochemistry, it is unknown (first: {tally.stereo_unknown_rows[0]}; stereo_unknown_rows in "
            "build_report.json names them)"
        )
    wanted = list(PARTS) if terms.split != "none" else ["train"]
    if terms.method.is_sized:
        wanted = [part for part, size in zip(wanted, terms.sizes, strict=True) if size]
    for part in wanted:
        if part not in splits:
            yield f"no molecule fell into {part}: there is no {part}.lmdb"
        elif empty := [name for name, count in tally.labels[part].items() if not count]:
            of = f"{len(empty)} of {len(tally.labels[part])} targets"
            yield f"{part} holds no label of {of}: {few_names(empty)}"
