"""How sure a score is: percentile intervals and paired comparison by resampling molecules.

Molecules are drawn with replacement, with all their tasks, so that tasks of one molecule stay together.
Predictions must hold one row per molecule: average conformers first (``scores.average_rows``).

In a resample a task may lose one of its classes. It is then left out of that resample's mean, as it would be
left out of the mean of a test set like that. A resample in which no task is left has no score: it is
dropped and counted (``Resamples.dropped``), never filled in. Which tasks and resamples drop out depends
on labels alone, so a paired comparison drops the same ones for both models.

Legend: M molecules, T tasks, S resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics.multiclass import check_multiclass
from moleblend_plugin.metrics.scores import (
    CLASSIFICATION,
    METRICS,
    MULTICLASS,
    check_classes,
    checked,
    columns_of_task,
)
from moleblend_plugin.schema import Float64Array

AnyScore = str | Callable[[Float64Array, Float64Array], float]
"""A name of ``scores.METRICS`` ("roc_auc", "rmse" ...; the mean over tasks), or a function of targets
[M, T] and predictions [M, T], slower by far; it may return NaN for "undefined"."""

_CELLS: Final = 400_000
"""Weights held at once (resamples x molecules): 3 MB, so that they stay in a cache."""


class Resamples(NamedTuple):
    """Scores of resamples.

    Attributes:
        scores: [n - dropped].
        dropped: resamples in which the score is undefined.
    """

    scores: Float64Array
    dropped: int


class Difference(NamedTuple):
    """How much a score of model a exceeds that of b, on the same molecules.

    Attributes:
        difference: score of a less score of b, on all molecules.
        low: lower end of the interval of the difference.
        high: upper end.
        p: two-sided: twice the smaller share of resamples with a difference on one side of 0, both counted
            with one more (never 0), at most 1.
    """

    difference: float
    low: float
    high: float
    p: float


def interval(
    score: AnyScore,
    targets: npt.ArrayLike,
    predictions: npt.ArrayLike,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of ``score``; (NaN, NaN) for fewer than two molecules or no defined resample.

    Args:
        score: what is computed (:data:`AnyScore`).
        targets: [M, T], NaN where a label is missing.
        predictions: [M, T].
        n: resamples.
        seed: of the draws; equal seeds draw the same molecules.
        level: coverage, between 0 and 1.

    Raises:
        MoleblendError: what ``scores.py`` raises, an unknown score, ``n`` or ``level`` out of range.
    """
    check_interval(n, level)
    return _ends(resamples(score, targets, predictions, n, seed).scores, level)


class Intervals(NamedTuple):
    """Percentile intervals of a score, (low, high), NaN where there is none.

    Attributes:
        mean: of the mean over tasks.
        per_task: of every task, T of them.
    """

    mean: tuple[float, float]
    per_task: list[tuple[float, float]]


def intervals(
    score: str,
    targets: npt.ArrayLike,
    predictions: npt.ArrayLike,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Intervals:
    """:func:`interval` of the mean over tasks and of every task, from the same resamples.

    Args:
        score: a name of ``scores.py``.
        targets: [M, T], NaN where a label is missing.
        predictions: [M, T].
        n: resamples.
        seed: of the draws.
        level: coverage.

    Raises:
        MoleblendError: as in :func:`interval`.
    """
    check_interval(n, level)
    labels, values = _checked(score, targets, predictions)
    drawn = [_task_scores(score, labels, values, weights) for weights in _draws(len(labels), n, seed)]
    found = np.concatenate(drawn) if drawn else np.empty((0, labels.shape[1]))
    columns = [_ends(column[~np.isnan(column)], level) for column in found.T]
    means = _means(found)
    return Intervals(_ends(means[~np.isnan(means)], level), columns)


def paired_difference(
    score: AnyScore,
    targets: npt.ArrayLike,
    predictions_a: npt.ArrayLike,
    predictions_b: npt.ArrayLike,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Score of a less score of b, both on the same resamples; all NaN where it is undefined.

    Args:
        score: what is computed (:data:`AnyScore`).
        targets: [M, T], NaN where a label is missing.
        predictions_a: [M, T].
        predictions_b: [M, T].
        n: resamples.
        seed: of the draws.
        level: coverage of the interval.

    Raises:
        MoleblendError: as in :func:`interval`.
    """
    check_interval(n, level)
    labels, a = _checked(score, targets, predictions_a)
    _, b = _checked(score, targets, predictions_b)
    one = np.ones((1, len(labels)))
    difference = float((_scores(score, labels, a, one) - _scores(score, labels, b, one))[0])
    drawn = [
        _scores(score, labels, a, weights) - _scores(score, labels, b, weights)
        for weights in _draws(len(labels), n, seed)
    ]
    return difference_of(difference, _defined(drawn, n).scores, level)


def difference_of(difference: float, resampled: Float64Array, level: float = 0.95) -> Difference:
    """A difference with its interval and p, from the differences of resamples that both models share.

    Args:
        difference: on all molecules.
        resampled: in each resample, [S]; none: all NaN.
        level: coverage of the interval.
    """
    low, high = _ends(resampled, level)
    if not len(resampled):
        return Difference(difference, low, high, float("nan"))
    side = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    return Difference(difference, low, high, min(1.0, 2 * (side + 1) / (len(resampled) + 1)))


def interval_of(resampled: Float64Array, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of scores of resamples, [S]; (NaN, NaN) of none."""
    return _ends(resampled, level)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p (1979), valid however the tests depend on one another; NaN stays and counts for none.

    Args:
        p: of all tests that are read together.
    """
    adjusted = [float("nan")] * len(p)
    tested = sorted((one, place) for place, one in enumerate(p) if not math.isnan(one))
    highest = 0.0
    for rank, (one, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * one))
        adjusted[place] = highest
    return adjusted


def resamples(
    score: AnyScore, targets: npt.ArrayLike, predictions: npt.ArrayLike, n: int = 1000, seed: int = 0
) -> Resamples:
    """``score`` on ``n`` resamples; none for fewer than two molecules."""
    labels, values = _checked(score, targets, predictions)
    return _defined([_scores(score, labels, values, draw) for draw in _draws(len(labels), n, seed)], n)


def _draws(molecules: int, n: int, seed: int) -> Iterator[Float64Array]:
    """Weights [block, M] of ``n`` resamples in all; the draws do not depend on the size of the blocks."""
    if molecules < 2:
        return
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS // molecules)
    for start in range(0, n, block):
        size = min(block, n - start)
        drawn = rng.integers(molecules, size=(size, molecules))
        drawn += np.arange(size)[:, None] * molecules
        counts = np.bincount(drawn.ravel(), minlength=size * molecules)
        yield counts.reshape(size, molecules).astype(np.float64)


def _scores(
    score: AnyScore, labels: Float64Array, values: Float64Array, weights: Float64Array
) -> Float64Array:
    """Score [S] under ``weights`` [S, M], NaN where undefined."""
    if not isinstance(score, str):
        numbers = np.arange(len(labels))
        drawn = (np.repeat(numbers, row.astype(np.int64)) for row in weights)
        return np.array([score(labels[rows], values[rows]) for rows in drawn], np.float64)
    return _means(_task_scores(score, labels, values, weights))


def _task_scores(
    score: str, labels: Float64Array, values: Float64Array, weights: Float64Array
) -> Float64Array:
    """Score [S, T] of every task under ``weights`` [S, M], NaN where undefined."""
    scores = np.full((len(weights), labels.shape[1]), np.nan)
    for task in range(labels.shape[1]):
        known = ~np.isnan(labels[:, task])
        if known.any():
            of_task = columns_of_task(score, values, task)[known]
            scores[:, task] = METRICS[score].weighted(labels[known, task], of_task, weights[:, known])
    return scores


def _means(scores: Float64Array) -> Float64Array:
    """Mean [S] over the tasks that are defined, NaN where none is."""
    total, counted = np.zeros(len(scores)), np.zeros(len(scores))
    for found in scores.T:  # one after the other, as they were always added
        total += np.nan_to_num(found)
        counted += ~np.isnan(found)
    means: Float64Array = np.divide(total, counted, out=np.full(len(scores), np.nan), where=counted > 0)
    return means


def _checked(
    score: AnyScore, targets: npt.ArrayLike, predictions: npt.ArrayLike
) -> tuple[Float64Array, Float64Array]:
    if isinstance(score, str) and score not in METRICS:
        raise MoleblendError(f"no score is named {score!r}; use {', '.join(METRICS)} or a function")
    if score in MULTICLASS:
        labels, values = np.asarray(targets, np.float64), np.asarray(predictions, np.float64)
        check_multiclass(labels, values, "0")
        return labels, values
    labels, values = checked(targets, predictions)
    if score in CLASSIFICATION:
        check_classes(labels)
    return labels, values


def check_interval(n: int, level: float) -> None:
    """Refuse a number of resamples or a level that cannot be (``MoleblendError``)."""
    if n < 1:
        raise MoleblendError(f"the number of resamples is {n}; use 1 or more, usually 1000")
    if not 0 < level < 1:
        raise MoleblendError(f"the level of an interval lies between 0 and 1, such as 0.95; got {level}")


def _defined(blocks: list[Float64Array], n: int) -> Resamples:
    scores = np.concatenate(blocks) if blocks else np.empty(0)
    scores = scores[~np.isnan(scores)]
    return Resamples(scores, n - len(scores))


def _ends(scores: Float64Array, level: float) -> tuple[float, float]:
    if not len(scores):
        return float("nan"), float("nan")
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
