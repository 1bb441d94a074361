"""The scores of ``scores.py`` under many sets of integer weights at once, for the bootstrap.

A resample of molecules is a weight per molecule: how often it was drawn. Predictions are then sorted once
instead of once per resample. Every function equals scikit-learn's (SciPy's) on the resampled arrays; the
tests hold that.

Legend: L labelled molecules of one task, G groups of equal predictions, S resamples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from moleblend_plugin.schema import Float64Array

IntArray = npt.NDArray[np.int64]
WeightedScore = Callable[[Float64Array, Float64Array, Float64Array], Float64Array]
"""(labels [L], predictions [L], weights [S, L]) -> scores [S], NaN where undefined (``scores.py``)."""


def _groups(values: Float64Array) -> tuple[IntArray, IntArray]:
    """Ascending order of ``values`` [L] and where each group of equal ones starts in it [G]."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    starts = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
    return order, starts


def _per_group(
    labels: Float64Array, values: Float64Array, weights: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Positives and negatives of every group by ascending prediction, [S, G] each; where both occur [S]."""
    order, starts = _groups(values)
    drawn, is_positive = weights[:, order], labels[order]
    positives = np.add.reduceat(drawn * is_positive, starts, axis=1)
    negatives = np.add.reduceat(drawn * (1 - is_positive), starts, axis=1)
    both = (positives.sum(1) > 0) & (negatives.sum(1) > 0)
    return positives, negatives, np.where(both, 1.0, np.nan)


def roc_auc(labels: Float64Array, values: Float64Array, weights: Float64Array) -> Float64Array:
    """Share of (positive, negative) pairs in the right order; ties count half."""
    positives, negatives, defined = _per_group(labels, values, weights)
    below = np.cumsum(negatives, axis=1) - negatives
    right = (positives * (below + negatives / 2)).sum(1)
    return _ratio(right, positives.sum(1) * negatives.sum(1)) * defined


def pr_auc(labels: Float64Array, values: Float64Array, weights: Float64Array) -> Float64Array:
    """Average precision: precision at every threshold, weighted by the recall that it adds."""
    positives, negatives, defined = _per_group(labels, values, weights)
    found = np.cumsum(positives[:, ::-1], axis=1)
    called = found + np.cumsum(negatives[:, ::-1], axis=1)
    precision = np.nan_to_num(_ratio(found, called))  # before the first drawn molecule nothing is gained
    gained = (positives[:, ::-1] * precision).sum(1)
    return _ratio(gained, positives.sum(1)) * defined


def rmse(labels: Float64Array, values: Float64Array, weights: Float64Array) -> Float64Array:
    """Root of the mean squared error."""
    return np.sqrt(_mean((values - labels) ** 2, weights))


def mae(labels: Float64Array, values: Float64Array, weights: Float64Array) -> Float64Array:
    """Mean absolute error."""
    return _mean(np.abs(values - labels), weights)


def r2(labels: Float64Array, values: Float64Array, weights: Float64Array) -> Float64Array:
    """Coefficient of determination."""
    scale = np.ptp(labels) or 1.0  # squares of very small and of very large labels are no numbers
    labels, values = (labels - labels[0]) / scale, (values - labels[0]) / scale
    left = weights @ (values - labels) ** 2
    return 1 - _ratio(left, _spread(labels, weights)) + 0 * _defined(labels, weights)


def spearman(labels: Float64Array, values: Float64Array, weights: Float64Array) -> Float64Array:
    """Correlation of ranks; 0 where the drawn predictions are all equal."""
    a, b = _ranks(labels, weights), _ranks(values, weights)  # [S, L]
    a -= _ratio((weights * a).sum(1), weights.sum(1))[:, None]
    b -= _ratio((weights * b).sum(1), weights.sum(1))[:, None]
    product = (weights * a * b).sum(1)
    scale = np.sqrt((weights * a**2).sum(1) * (weights * b**2).sum(1))
    constant = np.isnan(_defined(values, weights))
    return np.where(constant, 0.0, _ratio(product, scale)) + 0 * _defined(labels, weights)


def _ranks(values: Float64Array, weights: Float64Array) -> Float64Array:
    """Mean rank [S, L] of every molecule among those drawn."""
    order, starts = _groups(values)
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = np.cumsum(counts, axis=1) - (counts - 1) / 2
    group = np.empty(len(values), np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))
    placed: Float64Array = ranks[:, group]
    return placed


def _spread(labels: Float64Array, weights: Float64Array) -> Float64Array:
    """Squared deviation of the labels from their mean, summed; [S]."""
    centred = labels[None] - _mean(labels, weights)[:, None]
    spread: Float64Array = (weights * centred**2).sum(1)
    return spread


def _defined(values: Float64Array, weights: Float64Array) -> Float64Array:
    """1 where the drawn values are not all equal, else NaN; [S]."""
    drawn = weights > 0
    low = np.where(drawn, values, np.inf).min(1)
    high = np.where(drawn, values, -np.inf).max(1)
    return np.where(low < high, 1.0, np.nan)


def _mean(terms: Float64Array, weights: Float64Array) -> Float64Array:
    return _ratio(weights @ terms, weights.sum(1))


def _ratio(top: Float64Array, bottom: Float64Array) -> Float64Array:
    """``top / bottom``, NaN where the latter is 0."""
    ratio: Float64Array = np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)
    return ratio
