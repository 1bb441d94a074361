"""The long part of a build: rows of the inputs to their outcomes, in several processes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

from moleblend_plugin.building.divide import without_excluded
from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.building.outcomes import Rejected
from moleblend_plugin.building.plan import BuildPlan
from moleblend_plugin.building.progress import RowCounter
from moleblend_plugin.building.work import BuildWork
from moleblend_plugin.chem.guarded import engine_for
from moleblend_plugin.chem.workers import chunks_of
from moleblend_plugin.errors import MoleblendError


def check_inputs(plan: BuildPlan) -> None:
    """Refuse, before the work, an input that lacks a column, or a list of rows for another table."""
    if len(plan.sources) > 1:
        for source in plan.sources:
            next(iter(source.again()), None)
    if plan.rows_file is not None and not plan.rows_file.key and plan.limit is None:
        table = plan.sources[0]
        plan.rows_file.check_count(sum(1 for _ in table.again()), table.name)


def finish_rows(
    plan: BuildPlan,
    work: BuildWork,
    finished: FinishedRows,
    counter: RowCounter,
    first: int = 0,
    stop: int | None = None,
) -> None:
    """Have the outcome of every row in ``finished``.

    Args:
        plan: the build.
        work: what is done with rows.
        finished: those that are done already, and then all.
        counter: told of the progress.
        first: number of the first row that is wanted, over all inputs; those before are read, since what a
            cell means may hang on cells before it.
        stop: number behind the last one, where not all are wanted.

    Raises:
        MoleblendError: an input cannot be read, a worker died, or a row is rejected that must not be.
    """
    counter.report(finished)
    if len(finished):
        counter.report_resumed(finished)
    if plan.strict:  # rows of an earlier command without --strict
        _refuse_rejected(finished.rejections())
    ends = [end for end in (plan.limit, stop) if end is not None]
    read = islice(chain.from_iterable(plan.sources), first, min(ends, default=None))
    rows = read if plan.rows_file is None else without_excluded(read, plan.rows_file)
    chunks = (
        (number, chunk) for number, chunk in enumerate(chunks_of(rows, work.chunk)) if number not in finished
    )
    for number, outcomes in engine_for(plan.row_timeout)(chunks, work, plan.workers):
        if plan.strict:
            _refuse_rejected(outcome for outcome in outcomes if isinstance(outcome, Rejected))
        finished.add(number, outcomes)
        counter.report(finished)
    finished.sync()


def _refuse_rejected(rows: Iterable[Rejected]) -> None:
    for bad in rows:
        raise MoleblendError(
            f"{bad.source}:{bad.row} is rejected ({bad.reason}): {bad.text[:200]!r}; "
            "correct the row or leave out --strict"
        )
