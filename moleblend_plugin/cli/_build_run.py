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
from pathlib import Path
from typing import Any, Final

import numpy as np

from moleblend_plugin.chem.scaffold import scaffold_split
from moleblend_plugin.chem.workers import Outcome, Task, convert_in_order
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
from moleblend_plugin.data.store import MoleculeStore, StoreWriter, fingerprint
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord, Rejection

_SPLIT_WORDS: Final = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}
"""What a split column may hold (case does not matter)."""

Progress = Callable[[int, int], None]
"""Called with (rows done, rows rejected) after every row."""


@dataclass
class Tally:
    """Counts of a build."""

    rows: Counter[str] = field(default_factory=Counter)
    molecules: int = 0
    with_3d: int = 0
    coords_from: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    splits: dict[str, int] = field(default_factory=dict)
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
    started = time.monotonic()
    checksums = {source.name: source.sha256() for source in plan.sources}
    settings = plan.settings()
    tally = Tally()
    with _termination_as_exit(), staging(plan.out) as stage:
        with RejectedList(stage / REJECTED) as rejected:
            accepted = _accepted(plan, tally, rejected, progress)
            with SplitWriters(stage, plan, settings, checksums) as writers:
                for split, record in _with_split(plan, accepted, stage):
                    writers.add(split, record)
                if not writers.writers:
                    raise _nothing(plan, tally)
                for writer in writers.writers.values():
                    writer.rejected.update(tally.rejected)
                tally.splits = writers.counts()
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


def _accepted(
    plan: BuildPlan, tally: Tally, rejected: RejectedList, progress: Progress
) -> Iterator[tuple[str, MoleculeRecord]]:
    """(split text, record) of the good rows; the others are counted and listed."""
    rows = islice(chain.from_iterable(plan.sources), plan.limit)
    task = Task(plan.conversion, scaffolds=plan.split == "scaffold")
    for outcome in convert_in_order(rows, task, plan.workers):
        result = _check_split(outcome, plan)
        tally.rows[result.source] += 1
        if isinstance(result, Rejection):
            if plan.strict:
                raise MoleblendError(
                    f"{result.source}:{result.row} is rejected ({result.reason}): {result.text[:200]!r}; "
                    "mend the row or leave out --strict"
                )
            tally.rejected[result.reason.partition(":")[0]] += 1
            rejected.add(result)
        else:
            tally.molecules += 1
            tally.with_3d += result.coords is not None
            tally.coords_from[result.coords_from.partition(":")[0]] += 1
            yield outcome.split, result
        progress(tally.n_rows, tally.rejected.total())


def _check_split(outcome: Outcome, plan: BuildPlan) -> MoleculeRecord | Rejection:
    result = outcome.result
    known = outcome.split.lower() in _SPLIT_WORDS
    if not plan.split_column or known or isinstance(result, Rejection):
        return result
    reason = (
        f"unknown split: column {plan.split_column!r} holds {outcome.split[:40]!r}, not train, valid or test"
    )
    return Rejection(result.source, result.row, result.smiles, reason)


def _with_split(
    plan: BuildPlan, accepted: Iterator[tuple[str, MoleculeRecord]], stage: Path
) -> Iterator[tuple[str, MoleculeRecord]]:
    """(split, record) in input order."""
    if plan.split == "none":
        yield from (("train", record) for _, record in accepted)
    elif plan.split_column:
        yield from ((_SPLIT_WORDS[text.lower()], record) for text, record in accepted)
    else:
        # The division needs all molecules first: they wait on disk, not in memory.
        waiting = stage / "waiting.lmdb"
        scaffolds: list[str] = []
        with StoreWriter(waiting, settings={}, sources={}, target_names=plan.columns.targets) as writer:
            names: dict[str, str] = {}  # one string per scaffold, not per molecule
            for scaffold, record in accepted:
                scaffolds.append(names.setdefault(scaffold, scaffold))
                writer.add(record)
        parts = _parts(plan, scaffolds)
        yield from (
            (SPLITS[part], record) for part, record in zip(parts, MoleculeStore(waiting), strict=True)
        )
        waiting.unlink()


def _parts(plan: BuildPlan, scaffolds: list[str]) -> list[int]:
    if plan.split == "scaffold":
        return scaffold_split(scaffolds, plan.sizes)
    return random_split(len(scaffolds), plan.sizes, plan.seed)


def random_split(count: int, sizes: tuple[float, ...], seed: int) -> list[int]:
    """Part of every molecule: a seeded shuffle cut at the cumulative sizes."""
    order = np.random.default_rng(seed).permutation(count)
    cuts = np.rint(np.cumsum(sizes) * count).astype(int)[:-1]
    parts = np.empty(count, int)
    for part, members in enumerate(np.split(order, cuts)):
        parts[members] = part
    return [int(part) for part in parts]


def _nothing(plan: BuildPlan, tally: Tally) -> MoleblendError:
    names = ", ".join(source.name for source in plan.sources)
    reasons = "; ".join(f"{reason}: {count}" for reason, count in tally.rejected.most_common(3))
    return MoleblendError(
        f"no row of {names} is a molecule ({reasons or 'no rows'}); check the column and file"
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
        "splits": {split: tally.splits.get(split, 0) for split in SPLITS},
        "target_names": list(plan.columns.targets),
        "workers": plan.workers,
        "seconds": round(tally.seconds, 3),
        "rows_per_second": round(tally.n_rows / max(tally.seconds, 1e-9), 1),
    }
