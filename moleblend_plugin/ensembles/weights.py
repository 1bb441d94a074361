"""Weights that combine base models, fitted on predictions that no base model was trained for (stacking).

Legend: K base models, M molecules, T tasks. Of one of C classes there is one task, and predictions have a
column for each: [K, M, C].

The weights of a task are not negative and sum to one (Breiman 1996, "Stacked regressions"), so that a
combination is a mean and stays in the range of its models. They are fitted to

* squared error in regression,
* log loss of the weighted mean of probabilities in classification: the weights of a mixture, found by
  expectation-maximisation, which are unique up to models that predict the same.

With few labels the best weights are mostly chance. So they have a prior: weights shared by all tasks are
drawn towards equal ones, and those of each task towards the shared ones. It counts as much as it would count
to know nothing, a uniform distribution over all weights: in classification one label's worth per model, in
regression the variance of that distribution against the error of the combination. Many labels outvote it.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.label_kinds import ColumnKind, Kinds, each_kind
from moleblend_plugin.schema import Float64Array

LEAST: Final = 1e-3
"""Probabilities are kept this far from 0 and 1: a forest says 0, which one label would punish without end."""

_STEPS: Final = 2000
_STILL: Final = 1e-7
"""Of expectation-maximisation: steps at most, and a change of weights at which it ends."""
_SMALL: Final = 1e-9


def weighted_mean(predictions: npt.ArrayLike, weights: npt.ArrayLike) -> Float64Array:
    """Weighted mean [..., T] of predictions [K, ..., T] with weights [K, T]; of [K, ..., C] with [K, 1]."""
    stacked, each = np.asarray(predictions, np.float64), np.asarray(weights, np.float64)
    shape = (len(each), *[1] * (stacked.ndim - 2), each.shape[1])
    mean: Float64Array = (stacked * each.reshape(shape)).sum(0)
    return mean


def fit_weights(
    predictions: npt.ArrayLike,
    targets: npt.ArrayLike,
    kinds: Kinds,
    sample_weight: npt.ArrayLike | None = None,
) -> Float64Array:
    """Weights [K, T] of base models, from their out-of-fold predictions.

    Args:
        predictions: [K, M, T] or [K, M, C], of models that were not trained on the molecule that they
            predict.
        targets: [M, T], NaN where a label is missing.
        kinds: "classification" (targets 0 and 1, predictions are probabilities of 1), "multiclass" (one
            target of 0 to C - 1, predictions are probabilities of each, which share one weight) or
            "regression", or one of each task: then tasks of one kind share their weights' prior.
        sample_weight: [M], what a molecule's labels count; ``None``: all alike.

    Raises:
        MoleblendError: shapes differ, a prediction of a labelled molecule is not finite, or there is no
            label.
    """
    stacked, labels = np.asarray(predictions, np.float64), np.asarray(targets, np.float64)
    if kinds in ("multiclass", ("multiclass",)):
        stacked, labels = _of_own_class(stacked, labels)
        kinds = "classification"
    if stacked.ndim != 3 or stacked.shape[1:] != labels.shape or not len(stacked):
        raise MoleblendError(
            f"predictions of shape {stacked.shape} do not fit labels of shape {labels.shape}: "
            "give [K, M, T] and [M, T]"
        )
    present = ~np.isnan(labels)
    if not present.any():
        raise MoleblendError("weights of base models need labels: every label is missing")
    if not np.isfinite(stacked[:, present]).all():
        raise MoleblendError(
            "a base model's prediction of a labelled molecule is not finite: leave that model out"
        )
    counts = _counts(sample_weight, len(labels))
    each = each_kind(kinds, labels.shape[1])
    weights = np.full((len(stacked), len(each)), 1 / len(stacked))
    for kind in dict.fromkeys(each):
        own = np.array([other == kind for other in each])
        if present[:, own].any():
            weights[:, own] = _fit_kind(stacked[:, :, own], labels[:, own], kind, counts)
    return weights


def _of_own_class(stacked: Float64Array, labels: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Probabilities [K, M, 1] of the class that each molecule has, and that this is so: 1, or NaN, [M, 1].

    A mixture's likelihood asks for no others.

    Raises:
        MoleblendError: shapes do not fit.
    """
    if stacked.ndim != 3 or labels.shape != (stacked.shape[1], 1):
        raise MoleblendError(
            f"predictions of shape {stacked.shape} do not fit labels of shape {labels.shape}: "
            "give [K, M, C] and [M, 1]"
        )
    known = ~np.isnan(labels)
    place = np.where(known, labels, 0).astype(np.int64)
    own = np.take_along_axis(stacked, place[None], 2)
    return own, np.where(known, 1.0, np.nan)


def _fit_kind(
    stacked: Float64Array, labels: Float64Array, kind: ColumnKind, counts: Float64Array
) -> Float64Array:
    """Weights [K, T] of tasks of one kind, one label or more."""
    models, tasks = len(stacked), labels.shape[1]
    present = ~np.isnan(labels)
    fit = _mixture if kind == "classification" else _least_squares
    scale = np.ones(tasks) if kind == "classification" else _spread(labels)
    rows, columns = np.nonzero(present)
    equal = np.full(models, 1 / models)
    # All tasks together, each in its own unit: an error counts by the spread of its task's labels.
    together = (stacked / scale)[:, rows, columns], (labels / scale)[rows, columns]
    shared = fit(*together, counts[rows], equal)
    weights = np.tile(shared[:, None], (1, tasks))
    if tasks > 1:
        for task in range(tasks):
            known = present[:, task]
            if known.any():
                weights[:, task] = fit(stacked[:, known, task], labels[known, task], counts[known], shared)
    return weights


def _counts(sample_weight: npt.ArrayLike | None, molecules: int) -> Float64Array:
    """What each molecule counts [M]: 1 on the mean of those that count at all."""
    if sample_weight is None:
        return np.ones(molecules)
    given = np.asarray(sample_weight, np.float64)
    scaled: Float64Array = given / given[given > 0].mean()
    return scaled


def _spread(labels: Float64Array) -> Float64Array:
    """Standard deviation of each task's labels [T]; 1 where all are equal or missing."""
    found = np.array(
        [column[~np.isnan(column)].std() if not np.isnan(column).all() else 0.0 for column in labels.T]
    )
    return np.where(found > 0, found, 1.0)


def _mixture(
    predictions: Float64Array, labels: Float64Array, counts: Float64Array, prior: Float64Array
) -> Float64Array:
    """Weights [K] of a mixture of probabilities [K, M], given classes [M]; ``prior`` [K] counts K labels."""
    probabilities = np.clip(predictions, LEAST, 1 - LEAST)
    likelihood = np.where(labels > 0.5, probabilities, 1 - probabilities)  # [K, M]
    strength = float(len(prior))
    weights = prior.copy()
    for _ in range(_STEPS):
        share = weights[:, None] * likelihood
        share /= share.sum(0)
        better = ((share * counts).sum(1) + strength * prior) / (counts.sum() + strength)
        moved = np.abs(better - weights).max()
        weights = better
        if moved < _STILL:
            break
    normalised: Float64Array = weights / weights.sum()
    return normalised


def _least_squares(
    predictions: Float64Array, labels: Float64Array, counts: Float64Array, prior: Float64Array
) -> Float64Array:
    """Weights [K] of values [K, M] whose mean is nearest to the labels [M], drawn towards ``prior`` [K]."""
    models = len(prior)
    if models == 1:
        return np.ones(1)
    # Weights sum to 1: the weighted mean of the errors is the error of the weighted mean.
    errors = predictions - labels  # [K, M]
    total = counts.sum()
    square = (errors * counts) @ errors.T / total  # [K, K]
    variance = (models - 1) / (models**2 * (models + 1))  # of a weight, uniform over all weights
    strength = float(prior @ square @ prior) / (total * variance)
    return _on_simplex(square + strength * np.eye(models), strength * prior)


def _on_simplex(square: Float64Array, linear: Float64Array) -> Float64Array:
    """Weights w >= 0 with sum 1 that make ``w Q w - 2 b w`` least: of all supports, the best stationary
    point.

    K is small, so that all 2^K - 1 supports can be tried: exact, and the same on every machine.
    """
    models = len(linear)
    best, least = np.full(models, 1 / models), np.inf
    for size in range(1, models + 1):
        for support in map(list, combinations(range(models), size)):
            # Lagrange: Q w - b = m 1 on the support, sum w = 1. Models that predict the same make Q singular.
            system = np.zeros((size + 1, size + 1))
            system[:size, :size] = square[np.ix_(support, support)]
            system[:size, size], system[size, :size] = 1.0, 1.0
            solved = np.linalg.lstsq(system, np.append(linear[support], 1.0), rcond=None)[0][:size]
            if solved.min() < -_SMALL:
                continue
            weights = np.zeros(models)
            weights[support] = np.maximum(solved, 0.0)
            weights /= weights.sum()
            value = float(weights @ square @ weights - 2 * linear @ weights)
            if value < least - _SMALL * (1 + abs(value)):
                best, least = weights, value
    return best
