"""A trial: the networks of a fit, one per fold of the training part, and the scores of their folds.

A trial is what ``fit`` does with the same settings, up to the test part: the same estimator on the same rows
and folds. Networks are scored alone and, where the size of the table allows, with forests; these are the same
for every trial, so that they are fitted once.

Legend: n molecules of the training part, T targets, k folds. Of one of K classes there is one target, and
predictions are [n, K].
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.ensembles.epoch import mean_curve
from moleblend_plugin.ensembles.weights import fit_weights, weighted_mean
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.fitting.table import FitTable
from moleblend_plugin.fitting.training import processes_for, train
from moleblend_plugin.inference.estimators.member_jobs import CURVE, MemberJobs, read_curve_file
from moleblend_plugin.inference.stack_fit import TrainingRows, cross_fitted, fit_forests
from moleblend_plugin.label_kinds import Kinds
from moleblend_plugin.schema import Float64Array
from moleblend_plugin.tuning.objective import ALONE, STACKED, Outcome, Watch
from moleblend_plugin.tuning.search_score import fold_scores

_FORESTS: Final = "forests.npz"


class CrossValidation:
    """The objective of a search.

    Args:
        table: the table; labels of the test part need not be there.
        rows: int64 [n], places of the training part.
        work: folder that keeps what is finished of a trial that was stopped.
        stacking: values of the option that are scored: "no", "yes" or both.
    """

    def __init__(
        self, table: FitTable, rows: npt.NDArray[np.int64], work: Path, stacking: Sequence[str]
    ) -> None:
        self._table, self._rows, self._work, self._stacking = table, rows, work, tuple(stacking)

    def __call__(self, settings: FitOptions, watch: Watch) -> Outcome:
        """Train the networks of every fold, and score them.

        Raises:
            MoleblendError: a training fails.
        """
        folder = self._work / _digest(settings)
        table = self._table._replace(options=replace(settings, stacking=ALONE))
        look = partial(_look, folder, settings.ensemble_size, watch)
        # What is finished of this trial (seen folds of a stopped one) is found in its folder.
        jobs = MemberJobs(folder, processes_for(settings), _Once(look))
        estimator = train(table, self._rows, jobs)
        labels, folds = table.labels[self._rows], np.asarray(estimator.oof_fold_)
        network = np.asarray(estimator.oof_prediction_, np.float64).reshape(len(labels), -1)
        used = folds >= 0  # not those of weight 0
        scores, once = {}, 0.0
        if ALONE in self._stacking:
            scores[ALONE] = fold_scores(labels, network, folds, table.kinds)
        if STACKED in self._stacking:
            watch.progress(1.0)  # forests are not interrupted: without time for them they are not begun
            began = time.monotonic()
            forests = self._forests(folds, used)
            once = time.monotonic() - began
            stacked = np.full(network.shape, np.nan)
            weights = None if table.weights is None else table.weights[self._rows][used]
            rows = TrainingRows({}, (), labels[used], table.names, folds[used], weights)
            stacked[used] = _combined(rows, np.stack([network[used], *forests]), table.kinds)
            scores[STACKED] = fold_scores(labels, stacked, folds, table.kinds)
        shutil.rmtree(folder, ignore_errors=True)
        return Outcome(scores, int(estimator.n_epochs_), once)

    def _forests(self, folds: npt.NDArray[np.int64], used: npt.NDArray[np.bool_]) -> list[Float64Array]:
        """What forests predict [n, T] of molecules that they were not fitted on; kept in a file."""
        path = self._work / _FORESTS
        if path.is_file():
            with np.load(path) as kept:
                if np.array_equal(kept["folds"], folds):
                    return list(kept["predictions"])
        table, rows = self._table, self._rows[used]
        smiles = [table.records[place].smiles for place in rows.tolist()]
        weights = None if table.weights is None else table.weights[rows]
        grouped = table.options.folds == "scaffold"
        beside = table.read_beside, table.descriptors[rows] if table.read_beside else None
        given = TrainingRows.of(
            smiles,
            table.labels[rows],
            table.names,
            folds[used],
            weights,
            grouped,
            beside,
            len(table.class_names),
        )
        _, each = fit_forests(given, table.kinds, table.options.seed)
        self._work.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new.npz")
        np.savez(temporary, folds=folds, predictions=np.stack(each))
        temporary.replace(path)
        return each


class _Once:
    """Calls a function of how many folds are done at every report, once for each of them."""

    def __init__(self, look: partial[int]) -> None:
        self._look, self._seen = look, 0

    def __call__(self, done: int, total: int) -> None:
        self._seen = self._look(self._seen, done / max(total, 1))


def _look(folder: Path, k: int, watch: Watch, seen: int, share: float) -> int:
    """Report the folds that are finished, in their order; how many these are."""
    paths = [folder / f"member_{number}" / CURVE for number in range(1, k + 1)]
    done = next((place for place, path in enumerate(paths) if not path.is_file()), k)
    for count in range(seen + 1, done + 1):
        watch.folds(count, k, least_loss([read_curve_file(path) for path in paths[:count]]))
    watch.progress(share)
    return max(seen, done)


def least_loss(curves: Sequence[dict[int, float]]) -> float:
    """Validation loss at the epoch that is best on the mean of some folds; NaN if no epoch has one."""
    return min(mean_curve(curves, [1.0] * len(curves)).values(), default=float("nan"))


def _combined(rows: TrainingRows, out_of_fold: Float64Array, kinds: Kinds) -> Float64Array:
    """[n, T]: every fold by weights of the stack that were fitted without it."""
    weights = fit_weights(out_of_fold, rows.targets, kinds, rows.sample_weight)
    return cross_fitted(rows, out_of_fold, weighted_mean(out_of_fold, weights), kinds)


def _digest(settings: FitOptions) -> str:
    return hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest()[:16]
