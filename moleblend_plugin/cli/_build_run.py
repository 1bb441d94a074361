"""The build itself: rows -> outcomes -> stores, rejected.csv and build_report.json."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import chain, islice
from typing import Any

from moleblend_plugin.chem.rows import RawRow
from moleblend_plugin.chem.workers import Task, convert_in_order
from moleblend_plugin.cli._build_output import (
    REJECTED,
    REPORT,
    RejectedList,
    SplitWriters,
    refuse_existing,
    staging,
    write_report,
)
from moleblend_plugin.cli._build_plan import SPLITS, BuildPlan
from moleblend_plugin.cli._build_split import EXCLUDED, SplitList, check_split, is_excluded, with_split
from moleblend_plugin.data.store import fingerprint
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord, Rejection

Progress = Callable[[int, int], None]
"""Called with (rows done, rows rejected) after every row."""


@dataclass
class Tally:
    """Counts of a build. Every row read is a molecule, rejected or excluded by a given split."""

    rows: Counter[str] = field(default_factory=Counter)
    molecules: int = 0
    with_3d: int = 0
    coords_from: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    splits: dict[str, int] = field(default_factory=dict)
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    excluded: int = 0
    split_sha256: str = ""
    first_reason: str = ""
    seconds: float = 0.0

    @property
    def n_rows(self) -> int:
        """Rows read."""
        return self.rows.total()


def run_build(plan: BuildPlan, progress: Progress) -> Tally:
    """Build the stores of ``plan``.

    Raises:
        MoleblendError: anything that the user can mend; ``plan.out`` then is as it was before.
    """
    refuse_existing(plan)
    _check_given_split(plan)
    started = time.monotonic()
    checksums = {source.name: source.sha256() for source in plan.sources}
    settings = plan.settings()
    tally = Tally()
    with _termination_as_exit(), staging(plan.out) as stage:
        with RejectedList(stage / REJECTED) as rejected, SplitList(stage) as listed:
            accepted = _accepted(plan, tally, (rejected, listed), progress)
            with SplitWriters(stage, plan, settings, checksums) as writers:
                for split, record in with_split(plan, accepted, stage):
                    writers.add(split, record)
                    listed.add(split, record.row_id)
                    _count_labels(tally, split, plan.columns.targets, record)
                _refuse_nothing(plan, tally)
                for writer in writers.writers.values():
                    writer.rejected.update(tally.rejected)
                tally.splits = writers.counts()
            listed.write(plan)
            tally.split_sha256 = listed.sha256
        tally.seconds = time.monotonic() - started
        write_report(stage / REPORT, _report(plan, tally, settings, checksums))
    return tally


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Let SIGTERM (a cluster's time limit) unwind as Ctrl-C does: no files and no workers left behind."""
    if threading.current_thread() is not threading.main_thread():  # others may not set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_given_split(plan: BuildPlan) -> None:
    """Refuse a list of rows for another table before the work begins. Reads the table once."""
    if plan.rows_file is not None and not plan.rows_file.key and plan.limit is None:
        table = plan.sources[0]
        plan.rows_file.check_count(sum(1 for _ in table.again()), table.name)


def _accepted(
    plan: BuildPlan, tally: Tally, lists: tuple[RejectedList, SplitList], progress: Progress
) -> Iterator[tuple[str, MoleculeRecord]]:
    """(split text, record) of the good rows; the others are counted and listed."""
    rejected, listed = lists
    rows = islice(chain.from_iterable(plan.sources), plan.limit)
    task = Task(plan.conversion, plan.method.by_scaffold, plan.method.kind == "scaffold")
    for outcome in convert_in_order(_included(plan, rows, tally, listed), task, plan.workers):
        result = check_split(outcome, plan)
        tally.rows[result.source] += 1
        if isinstance(result, Rejection):
            if plan.strict:
                raise MoleblendError(
                    f"{result.source}:{result.row} is rejected ({result.reason}): {result.text[:200]!r}; "
                    "mend the row or leave out --strict"
                )
            tally.first_reason = tally.first_reason or result.reason
            tally.rejected[result.reason.partition(":")[0]] += 1
            rejected.add(result)
        else:
            tally.molecules += 1
            tally.with_3d += result.coords is not None
            tally.coords_from[result.coords_from.partition(":")[0]] += 1
            yield outcome.split, result
        progress(tally.n_rows, tally.rejected.total())


def _included(
    plan: BuildPlan, rows: Iterator[RawRow | Rejection], tally: Tally, listed: SplitList
) -> Iterator[RawRow | Rejection]:
    """The rows that a given split has in a part; the others are counted and listed."""
    for row in rows:
        if is_excluded(row, plan):
            tally.rows[row.source] += 1
            tally.excluded += 1
            listed.add(EXCLUDED, f"{row.source}:{row.row}")
        else:
            yield row


def _count_labels(tally: Tally, split: str, targets: tuple[str, ...], record: MoleculeRecord) -> None:
    counts = tally.labels.setdefault(split, dict.fromkeys(targets, 0))
    for name, value in zip(targets, record.targets, strict=True):
        counts[name] += bool(value == value)  # not NaN


def _refuse_nothing(plan: BuildPlan, tally: Tally) -> None:
    """Refuse a build without molecules, or with target columns but without any label."""
    if not tally.molecules:
        raise _nothing(plan, tally)
    if plan.columns.targets and not any(any(counts.values()) for counts in tally.labels.values()):
        names = ", ".join(source.name for source in plan.sources)
        columns = ", ".join(map(repr, plan.columns.targets[:5])) + (
            ", ..." if plan.columns.targets[5:] else ""
        )
        raise MoleblendError(
            f"none of the {tally.molecules:,} molecules of {names} has a label in {columns}; check "
            "--target-columns, or leave it out for molecules without labels"
        )


def _nothing(plan: BuildPlan, tally: Tally) -> MoleblendError:
    names = ", ".join(source.name for source in plan.sources)
    reasons = "; ".join(f"{reason}: {count}" for reason, count in tally.rejected.most_common(3))
    if tally.excluded:
        reasons = "; ".join(filter(None, (reasons, f"excluded by the split: {tally.excluded}")))
    _, colon, detail = tally.first_reason.partition(": ")
    first = f"; the first one: {detail}" if colon else ""
    return MoleblendError(
        f"no row of {names} is a molecule ({reasons or 'no rows'}{first}); check the column and file"
    )


def _report(
    plan: BuildPlan, tally: Tally, settings: dict[str, Any], checksums: dict[str, str]
) -> dict[str, Any]:
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": settings,
        "fingerprint": fingerprint(settings),
        "sources": {
            name: {"sha256": checksum, "rows": tally.rows[name]} for name, checksum in checksums.items()
        },
        "rows": tally.n_rows,
        "molecules": tally.molecules,
        "with_3d": tally.with_3d,
        "coords_from": dict(tally.coords_from.most_common()),
        "rejected": tally.rejected.total(),
        "rejected_by_reason": dict(tally.rejected.most_common()),
        "excluded": tally.excluded,
        "splits": {split: tally.splits.get(split, 0) for split in SPLITS},
        "split_sha256": tally.split_sha256,
        "target_names": list(plan.columns.targets),
        "labels": tally.labels,
        "workers": plan.workers,
        "seconds": round(tally.seconds, 3),
        "rows_per_second": round(tally.n_rows / max(tally.seconds, 1e-9), 1),
    }
