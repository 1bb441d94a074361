"""From a table to a model folder: the one order in which a fit does things."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moleblend_plugin.entry import usable_cores
from moleblend_plugin.fitting.evaluation import Evaluation, evaluate, score_facts, write_predictions
from moleblend_plugin.fitting.folder import LEAKS, REJECTED, REPORT, ModelFolder, data_sha256
from moleblend_plugin.fitting.options import RUN_FILE, FitOptions, write_run_file
from moleblend_plugin.fitting.page import fit_page
from moleblend_plugin.fitting.parts import Divided
from moleblend_plugin.fitting.prepared import prepare, write_parts
from moleblend_plugin.fitting.table import FitTable, read_table, reasons, write_rejected
from moleblend_plugin.fitting.training import TimeEstimate, estimate_time, name_rows, processes_for, train
from moleblend_plugin.inference.estimators.member_jobs import CURVE, MemberJobs, read_curve_file
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.run_folder import TEST_PREDICTIONS
from moleblend_plugin.networks.resolve import MODEL_FILE
from moleblend_plugin.schema import PARTS

_TRAINED = 0.9
"""Share of the progress that members take where there are no forests."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a fit made.

    Attributes:
        folder: it.
        options: resolved.
        parts: molecules by part.
        rejected: rows by kind of reason.
        evaluation: of the test part; ``None`` without one.
        split_sha256: checksum of the split.
    """

    folder: Path
    options: FitOptions
    parts: dict[str, int]
    rejected: dict[str, int]
    evaluation: Evaluation | None
    split_sha256: str


@dataclass(frozen=True, slots=True)
class OnFit:
    """What follows the progress of a fit.

    Attributes:
        say: a line for people.
        progress: share of the work that is done, 0 to 1, and what is being done.
    """

    say: Callable[[str], None] = lambda line: None
    progress: Callable[[float, str], None] = lambda done, what: None


def fit_table(
    options: FitOptions, out: Path, told: OnFit | None = None, resume: bool = False, overwrite: bool = False
) -> FitResult:
    """Fit a model to a table, and write its folder.

    Args:
        options: what is asked for; with ``resume`` those that are not default must be those of the start.
        out: the folder.
        told: who is told how it goes.
        resume: continue the fit that was interrupted in ``out``.
        overwrite: replace what is in ``out``.

    Raises:
        MoleblendError: something that the user can put right, in one line.
        KeyboardInterrupt: the user stopped it; members that are finished are kept in ``out``.
    """
    told = told or OnFit()
    folder = ModelFolder(out)
    asked = folder.asked() if resume else options
    asked.check()
    sha256 = data_sha256(asked)
    with folder.held():
        if resume:
            folder.check_resumed(options, sha256)
            return _fit(folder, asked, sha256, told)
        told.progress(0.0, "reading")
        table = read_table(asked, usable_cores())  # a question to the user comes before anything is written
        folder.begin(asked, sha256, overwrite)
        return _fit(folder, asked, sha256, told, table)


def _fit(
    folder: ModelFolder,
    asked: FitOptions,
    sha256: dict[str, str],
    told: OnFit,
    table: FitTable | None = None,
) -> FitResult:
    table = table or read_table(asked, usable_cores())
    prepared = prepare(table, told.say, told.progress)
    table, divided, learned = prepared.table, prepared.divided, prepared.learned
    split_sha256 = write_parts(folder.result, prepared)
    found = {"sha256": sha256, "split_sha256": split_sha256, "molecules": len(table.kept)}
    write_run_file(folder.result / RUN_FILE, table.options, found)
    write_rejected(folder.result / REJECTED, table)
    _say_table(table, divided, told)
    share = _say_estimate(table, learned, told)
    estimator = train(table, learned, _jobs(folder, table, told, share))
    told.progress(0.95, "test part")
    estimator.save(folder.result / MODEL_FILE)
    name_rows(folder.result / MODEL_FILE, table, learned)
    predictor = Predictor.from_checkpoint(folder.result / MODEL_FILE, table.options.device)
    evaluation = _evaluate(folder, predictor, table, divided, learned)
    told.progress(0.98, "report")
    leaks = json.loads((folder.result / LEAKS).read_text(encoding="utf-8"))
    curves = [read_curve_file(path) for path in sorted(folder.members.glob(f"*/{CURVE}"))]
    page = fit_page(table, divided, evaluation, estimator, predictor, leaks, split_sha256, curves)
    (folder.result / REPORT).write_text(page, encoding="utf-8")
    folder.finish(_facts(table, divided, evaluation, sha256, split_sha256))
    told.progress(1.0, "done")
    parts = {part: len(divided.rows(part)) for part in PARTS}
    rejected = dict(reasons(table.rejected).most_common())
    return FitResult(folder.path, table.options, parts, rejected, evaluation, split_sha256)


def _say_table(table: FitTable, divided: Divided, told: OnFit) -> None:
    counts = ", ".join(f"{part} {len(divided.rows(part)):,}" for part in PARTS if len(divided.rows(part)))
    told.say(
        f"{len(table.kept):,} molecules ({counts}; split: {divided.method}), {len(table.rejected):,} rows "
        "rejected"
    )
    for reason, count in reasons(table.rejected).most_common(3):
        told.say(f"  {count:,}  {reason}")


def _say_estimate(table: FitTable, learned: Any, told: OnFit) -> float:  # noqa: ANN401  rows
    """Say what will be trained and how long it takes; the share of the members in it."""
    options = table.options
    told.progress(0.0, "measuring")
    estimate = estimate_time(table, learned)
    stack = ", stacked with three random forests" if options.stacking == "yes" else ""
    told.say(
        f"training {options.ensemble_size} networks for {options.epochs} epochs, {processes_for(options)} "
        "at a "
        f"time{stack}: about {minutes(estimate.total)} on this machine"
    )
    return _share(estimate)


def _share(estimate: TimeEstimate) -> float:
    return _TRAINED * estimate.members / max(estimate.total, 1e-9)


def minutes(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{max(1, round(seconds / 10)) * 10} seconds"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def _jobs(folder: ModelFolder, table: FitTable, told: OnFit, share: float) -> MemberJobs:
    size = table.options.ensemble_size
    then = "forests" if table.options.stacking == "yes" else "folds"

    def report(done: int, total: int) -> None:
        what = f"{done:,} of {total:,} epochs of {size} networks" if done < total else then
        told.progress(share * done / max(total, 1), what)

    return MemberJobs(folder.members, processes_for(table.options), report)


def _evaluate(
    folder: ModelFolder,
    predictor: Predictor,
    table: FitTable,
    divided: Divided,
    learned: Any,  # noqa: ANN401
) -> Evaluation | None:
    test = divided.rows("test")
    if not len(test):
        return None
    write_predictions(predictor, table, test, folder.result / TEST_PREDICTIONS)
    return evaluate(predictor, table, learned, test)


def _facts(
    table: FitTable,
    divided: Divided,
    evaluation: Evaluation | None,
    sha256: dict[str, str],
    split_sha256: str,
) -> dict[str, Any]:
    """What the manifest says beside versions and checksums."""
    return {
        "targets": list(table.names),
        "kind": table.kind,
        "kinds": dict(zip(table.names, table.kinds, strict=True)),
        "data": sha256,
        "split_sha256": split_sha256,
        "molecules": {part: len(divided.rows(part)) for part in PARTS},
        "rejected": dict(reasons(table.rejected).most_common()),
        "classes": table.classes,
        "scores": {} if evaluation is None else score_facts(evaluation),
        "options": asdict(table.options),
    }
