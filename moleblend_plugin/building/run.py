"""The build itself: rows -> outcomes -> stores, rejected.csv and build_report.json."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Protocol

from moleblend_plugin.building.divide import EXCLUDED, SplitList, is_excluded, with_part
from moleblend_plugin.building.duplicates import duplicates
from moleblend_plugin.building.labels import classes_of, notes_of
from moleblend_plugin.building.outputs import REJECTED, REPORT, RejectedList, SplitWriters, write_report
from moleblend_plugin.building.plan import SPLITS, BuildPlan
from moleblend_plugin.building.rejected import add_cells
from moleblend_plugin.building.stage import NothingToBuild, Stage, refuse_existing, staging
from moleblend_plugin.building.tally import Tally
from moleblend_plugin.building.work import BuildWork, work_of, work_settings
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.workers import cut, work_in_any_order
from moleblend_plugin.data.store.reader import fingerprint
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Rejection
from moleblend_plugin.stopping import termination_as_exit


class Watcher(Protocol):
    """Who is told how a build goes."""

    def advance(self, rows: int, rejected: int) -> None:
        """Rows done and rows rejected, now and then."""

    def resumed(self, rows: int) -> None:
        """Rows that an interrupted build has finished."""

    def say(self, line: str) -> None:
        """Something the user should know."""


def run_build(plan: BuildPlan, watcher: Watcher) -> Tally:
    """Build the stores of ``plan``, beginning with what an interrupted build of it has finished.

    Raises:
        MoleblendError: anything that the user can mend; the stores in ``plan.out`` then are as before.
    """
    refuse_existing(plan)
    _check_inputs(plan)
    _check_given_split(plan)
    started = time.monotonic()
    checksums = plan.checksums()
    settings = plan.settings()
    work = work_of(plan)
    tally = Tally(plan.columns.targets)
    with (
        termination_as_exit(),
        staging(plan, work_settings(plan, work, checksums), watcher.say) as stage,
        SplitList(stage.result) as listed,
    ):
        _finish_rows(plan, work, stage, _included(plan, tally, listed), tally, watcher)
        _divide(plan, stage, tally, listed, settings, checksums)
        tally.seconds = time.monotonic() - started
        write_report(stage.result / REPORT, _report(plan, tally, settings, checksums))
    return tally


def _finish_rows(
    plan: BuildPlan,
    work: BuildWork,
    stage: Stage,
    rows: Iterator[RawRow | Rejection],
    tally: Tally,
    watcher: Watcher,
) -> None:
    """Have the outcome of every row in ``stage.rows``."""
    spill = stage.rows
    if len(spill):
        tally.resumed = spill.rows
        watcher.resumed(spill.rows)
    if plan.strict and spill.rejected:  # finished by an earlier command without --strict
        bad = next(done for done in spill if done.reason)
        raise _strict(Rejection(bad.source, bad.row, bad.text, bad.reason))
    chunks = ((number, chunk) for number, chunk in enumerate(cut(rows, work.chunk)) if number not in spill)
    for number, done in work_in_any_order(chunks, work, plan.workers):
        if plan.strict and done.first is not None:
            raise _strict(done.first)
        spill.add(number, done)
        watcher.advance(spill.rows + tally.excluded, spill.rejected)
    spill.sync()


def _divide(
    plan: BuildPlan,
    stage: Stage,
    tally: Tally,
    listed: SplitList,
    settings: dict[str, Any],
    checksums: dict[str, str],
) -> None:
    """Finished rows to the stores of their parts, counted on the way."""
    with (
        RejectedList(stage.result / REJECTED) as rejected,
        SplitWriters(stage.result, plan, settings, checksums) as writers,
    ):
        for part, done in with_part(plan, stage.rows):
            tally.count(part, done)
            if part:
                writers.add(part, done)
                listed.add(part, f"{done.source}:{done.row}")
            elif done.reason:
                rejected.add(done)
            else:
                listed.add(EXCLUDED, f"{done.source}:{done.row}")
        _refuse_nothing(plan, tally)
        for writer in writers.writers.values():
            writer.rejected.update(tally.rejected)
        tally.splits = writers.counts()
    tally.duplicates = duplicates(lambda: with_part(plan, stage.rows), tally.molecules, plan.columns.targets)
    add_cells(stage.result / REJECTED, plan.sources)
    listed.write(plan)
    tally.split_sha256 = listed.sha256


def _strict(bad: Rejection) -> MoleblendError:
    return MoleblendError(
        f"{bad.source}:{bad.row} is rejected ({bad.reason}): {bad.text[:200]!r}; "
        "mend the row or leave out --strict"
    )


def _check_inputs(plan: BuildPlan) -> None:
    """Refuse an input that lacks a column before the work on those before it. Reads a row of each."""
    if len(plan.sources) > 1:
        for source in plan.sources:
            next(iter(source.again()), None)


def _check_given_split(plan: BuildPlan) -> None:
    """Refuse a list of rows for another table before the work begins. Reads the table once."""
    if plan.rows_file is not None and not plan.rows_file.key and plan.limit is None:
        table = plan.sources[0]
        plan.rows_file.check_count(sum(1 for _ in table.again()), table.name)


def _included(plan: BuildPlan, tally: Tally, listed: SplitList) -> Iterator[RawRow | Rejection]:
    """The rows that a given split has in a part; the others are counted and listed."""
    for row in islice(chain.from_iterable(plan.sources), plan.limit):
        if is_excluded(row, plan):
            tally.rows[row.source] += 1
            tally.excluded += 1
            listed.add(EXCLUDED, f"{row.source}:{row.row}")
        else:
            yield row


def _refuse_nothing(plan: BuildPlan, tally: Tally) -> None:
    """Refuse a build without molecules, or with target columns but without any label."""
    if not tally.molecules:
        raise _nothing(plan, tally)
    if plan.columns.targets and not any(any(counts.values()) for counts in tally.labels.values()):
        names = ", ".join(source.name for source in plan.sources)
        columns = ", ".join(map(repr, plan.columns.targets[:5])) + (
            ", ..." if plan.columns.targets[5:] else ""
        )
        raise NothingToBuild(
            f"none of the {tally.molecules:,} molecules of {names} has a label in {columns}; check "
            "--target-columns, or leave it out for molecules without labels"
        )


def _nothing(plan: BuildPlan, tally: Tally) -> NothingToBuild:
    names = ", ".join(source.name for source in plan.sources)
    reasons = "; ".join(f"{reason}: {count}" for reason, count in tally.rejected.most_common(3))
    for count, by in ((tally.excluded, "the split"), (tally.left_out, "--exclude")):
        if count:
            reasons = "; ".join(filter(None, (reasons, f"excluded by {by}: {count}")))
    _, colon, detail = tally.first_reason.partition(": ")
    first = f"; the first one: {detail}" if colon else ""
    first += f"; {plan.method.name} holds {tally.unknown_words}" if len(tally.unknown_parts) > 1 else ""
    return NothingToBuild(
        f"no row of {names} is a molecule ({reasons or 'no rows'}{first}); check the column and file"
    )


def _report(
    plan: BuildPlan, tally: Tally, settings: dict[str, Any], checksums: dict[str, str]
) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings,
        "fingerprint": fingerprint(settings),
        "sources": {
            name: {"sha256": checksum, "rows": tally.rows[name]} for name, checksum in checksums.items()
        },
        "rows": tally.n_rows,
        "molecules": tally.molecules,
        "with_3d": tally.with_3d,
        "coords_from": dict(tally.coords_from.most_common()),
        "stereo_unknown": tally.stereo_unknown,
        "stereo_unknown_rows": tally.stereo_unknown_rows,
        "rejected": tally.rejected.total(),
        "rejected_by_reason": dict(tally.rejected.most_common()),
        "excluded": tally.excluded + tally.left_out,
        "excluded_by_list": tally.left_out,
        "exclude": {"level": plan.exclusion.level, "files": list(plan.exclusion.files)}
        if plan.exclusion.files
        else None,
        "unknown_split": dict(tally.unknown_parts.most_common()),
        "duplicates": tally.duplicates,
        "splits": {split: tally.splits.get(split, 0) for split in SPLITS},
        "split_sha256": tally.split_sha256,
        "target_names": list(plan.columns.targets),
        "classes": classes_of(plan),
        "notes": notes_of(plan),
        "label_warnings": tally.range.warnings(),
        "labels": tally.labels,
        "workers": plan.workers,
        "resumed_rows": tally.resumed,
        "seconds": round(tally.seconds, 3),
        "rows_per_second": round(tally.rate, 1),
    }
