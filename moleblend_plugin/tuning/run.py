"""A search over the settings of a fit: the one order in which it does things."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from optuna.study import Study

from moleblend_plugin.entry import usable_cores
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.folder import REJECTED, data_sha256
from moleblend_plugin.fitting.options import FitOptions, write_run_file
from moleblend_plugin.fitting.prepared import Prepared, prepare, write_parts
from moleblend_plugin.fitting.run import OnFit
from moleblend_plugin.fitting.table import FitTable, read_table, write_rejected
from moleblend_plugin.tuning.cross_validation import CrossValidation
from moleblend_plugin.tuning.folder import BEST, REPORT, TRIALS, TuneFolder
from moleblend_plugin.tuning.objective import ALONE, STACKED, Objective, mean_of
from moleblend_plugin.tuning.page import Search, tune_page
from moleblend_plugin.tuning.search_score import search_score
from moleblend_plugin.tuning.space import search_space, with_params
from moleblend_plugin.tuning.study import check_begun, opened
from moleblend_plugin.tuning.trials import (
    TriedSettings,
    default_of,
    finished,
    tried,
    winner,
    write_trials,
)
from moleblend_plugin.tuning.tuner import USED, Budget, Told, Tuner


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """How long is searched.

    Attributes:
        minutes: for all calls together.
        trials: finished ones, of all calls together; 0: as many as the minutes allow.
    """

    minutes: float = 30.0
    trials: int = 0

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            MoleblendError: names the option.
        """
        if not 0 < self.minutes < float("inf"):
            raise MoleblendError(f"--minutes {self.minutes:g}: give more than 0")
        if self.trials < 0:
            raise MoleblendError(f"--trials {self.trials}: give 0 (as many as fit) or more")


class TuneResult(NamedTuple):
    """What a search found.

    Attributes:
        folder: it.
        options: of the winner.
        winner: its trial.
        default: the trial of the default setting.
        default_score: mean score over the folds as a fit would do it, by the default ``stacking``.
        metric: name of the score in files: that of a metric, or "score" for columns of both kinds.
        trials: all of them.
        ended: why the search ended, in words.
        title: of the score, for people.
    """

    folder: Path
    options: FitOptions
    winner: TriedSettings
    default: TriedSettings
    default_score: float
    metric: str
    trials: list[TriedSettings]
    ended: str
    title: str


def tune_table(
    options: FitOptions,
    budget: TuneOptions,
    out: Path,
    told: OnFit | None = None,
    overwrite: bool = False,
    objective: Objective | None = None,
) -> TuneResult:
    """Search the settings of a fit by cross-validation of its training part, and write the folder.

    Columns, parts and test part are those that ``fit`` makes of the same options; labels of the test part are
    taken away before anything is trained.

    Args:
        options: of the fit; a setting that is given is not searched.
        budget: how long.
        out: the folder; a study that is there goes on.
        told: who is told how it goes.
        overwrite: remove what is in ``out``.
        objective: a trial; ``None``: training.

    Raises:
        MoleblendError: something that the user can put right, in one line.
        KeyboardInterrupt: the user stopped it; what is finished is kept and written.
    """
    began, told, folder = time.monotonic(), told or OnFit(), TuneFolder(out)
    options.check()
    budget.check()
    sha256 = data_sha256(options)
    with folder.held():
        told.progress(0.0, "reading")
        table = read_table(options, usable_cores())  # a question to the user comes before anything is written
        if options.ensemble_size == 1:
            raise MoleblendError(
                "--ensemble-size 1: a search compares folds: give 2 or more, or leave it out"
            )
        folder.begin(overwrite)
        prepared = prepare(table, told.say, told.progress)
        split_sha256 = write_parts(folder.path, prepared)
        write_rejected(folder.path / REJECTED, table)
        blind = _without_test_labels(prepared)
        space = search_space(options, blind.options)
        rises = search_score(table.kind, len(table.names)).rises
        objective = objective or CrossValidation(
            blind, prepared.learned, folder.work, _stackings(options, blind.options)
        )
        with opened(folder.study, rises) as study:
            check_begun(study, options, space, sha256)
            allowed = Budget(budget.minutes, budget.trials)
            tuner = Tuner(study, space, blind.options, objective, allowed, _told(told), began)
            _say_begin(study, prepared, budget, told)
            search = Search(prepared, tuple(space), split_sha256, sha256, budget.minutes)
            try:
                ended = tuner.run()
            except (KeyboardInterrupt, SystemExit):
                tuner.save_time()
                if finished(tried(study)):
                    _write(folder, study, search, "it was interrupted")
                raise
            tuner.save_time()
            told.progress(0.999, "report")
            result = _write(folder, study, search, ended)
        folder.finish()
        told.progress(1.0, "done")
        return result


def _without_test_labels(prepared: Prepared) -> FitTable:
    """The table without what a search must not see: labels of all molecules outside of the training part."""
    table = prepared.table
    labels = np.full_like(table.labels, np.nan)
    labels[prepared.learned] = table.labels[prepared.learned]
    records = [replace(record, targets=own) for record, own in zip(table.records, labels, strict=True)]
    return table._replace(labels=labels, records=records)


def _stackings(asked: FitOptions, default: FitOptions) -> tuple[str, ...]:
    """Values of ``stacking`` that are scored; forests on a large table take longer than its networks."""
    if asked.stacking == "auto" and default.stacking == STACKED:
        return ALONE, STACKED
    return (default.stacking,)


def _told(told: OnFit) -> Told:
    return Told(told.say, told.progress)


def _say_begin(study: Study, prepared: Prepared, budget: TuneOptions, told: OnFit) -> None:
    before = len(finished(tried(study)))
    options, used = prepared.table.options, float(study.user_attrs.get(USED, 0.0))
    if before or used:
        told.say(
            f"resuming: {before} trials are finished, {used / 60:.1f} of {budget.minutes:g} minutes used"
        )
    told.say(
        f"searching for {budget.minutes:g} minutes on {len(prepared.learned):,} molecules in "
        f"{options.ensemble_size} folds; the {len(prepared.divided.rows('test')):,} that test are left out"
    )


def _write(folder: TuneFolder, study: Study, search: Search, ended: str) -> TuneResult:
    """Write what people read, of the trials so far."""
    trials, table = tried(study), search.prepared.table
    score, default = search_score(table.kind, len(table.names)), default_of(trials)
    best = winner(trials, score.rises)
    chosen = replace(with_params(table.options, best.params), stacking=best.stacking)
    default_score = mean_of(default.at(table.options.stacking))
    found = {
        "sha256": search.data_sha256,
        "split_sha256": search.split_sha256,
        "cross_validation": {score.name: best.value, f"{score.name}_default": default_score},
        "trials": len(finished(trials)),
    }
    write_run_file(folder.path / BEST, chosen, found)
    write_trials(folder.path / TRIALS, trials, search.names, score.name)
    page = tune_page(study, search, trials, score, ended)
    (folder.path / REPORT).write_text(page, encoding="utf-8")
    return TuneResult(
        folder.path, chosen, best, default, default_score, score.name, trials, ended, score.title
    )
