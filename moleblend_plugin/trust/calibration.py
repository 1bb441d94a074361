"""Calibrated probabilities: what a model calls 80 % comes true in 80 % of the cases.

Platt's scaling on log-odds: ``logit(q) = a logit(p) + b`` with ``a`` and ``b`` of least log loss on
predictions of molecules that the model was not trained on (Platt 1999, "Probabilistic outputs for support
vector machines"). In place of labels 0 and 1 it is fitted to ``1 / (n0 + 2)`` and ``(n1 + 1) / (n1 + 2)``,
Platt's targets, so that a small set whose classes are separated without error does not give certainty. Two
parameters need few labels: isotonic regression and beta calibration bend further, and need some thousand for
it (Niculescu-Mizil and Caruana 2005).

Legend: n molecules with a label.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.schema import Float64Array

LEAST_OF_A_CLASS: Final = 10
"""Molecules of each class without which a probability stays as it is."""

_SURE: Final = 1e-6
"""Probabilities are kept this far from 0 and 1, of which a forest may say both: their log-odds are finite."""
_STEPS: Final = 100
_STILL: Final = 1e-10
_SMALL: Final = 1e-12


class Platt(NamedTuple):
    """A map of log-odds; the default leaves probabilities alone.

    Attributes:
        slope: below 1 the model was too sure, above 1 not sure enough; never negative.
        offset: in log-odds.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, probabilities: npt.ArrayLike) -> Float64Array:
        """Calibrated probabilities, of the same shape; NaN stays NaN."""
        given = np.asarray(probabilities, np.float64)
        if self == Platt():
            return given
        return sigmoid(self.slope * log_odds(given) + self.offset)


def log_odds(probabilities: npt.ArrayLike) -> Float64Array:
    """``log(p / (1 - p))``, of probabilities at most 1e-6 from 0 and 1."""
    kept = np.clip(np.asarray(probabilities, np.float64), _SURE, 1 - _SURE)
    found: Float64Array = np.log(kept) - np.log1p(-kept)
    return found


def sigmoid(values: Float64Array) -> Float64Array:
    """``1 / (1 + exp(-x))`` without overflow."""
    found: Float64Array = 0.5 * (1 + np.tanh(0.5 * values))
    return found


def fit_platt(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> Platt:
    """The map for a model, from what it said of molecules that it was not trained on.

    Args:
        probabilities: [n] of class 1; NaN is left out.
        labels: [n] of 0 and 1; NaN is left out.

    Returns:
        The map; the one that changes nothing where a class has fewer than ten molecules. Where less
        probable molecules are more often of class 1, the slope is 0 and every molecule gets one probability.
    """
    p, y = _known(probabilities, labels)
    ones = int(y.sum())
    if min(ones, len(y) - ones) < LEAST_OF_A_CLASS:
        return Platt()
    targets = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (len(y) - ones + 2))
    odds = log_odds(p)
    slope, offset = _least_log_loss(odds, targets)
    if slope < 0:
        mean = float(targets.mean())
        return Platt(0.0, float(np.log(mean / (1 - mean))))
    return Platt(slope, offset)


def _least_log_loss(odds: Float64Array, targets: Float64Array) -> tuple[float, float]:
    """Slope and offset by Newton's method; the loss is convex, and every step is halved until it falls."""
    design = np.column_stack((odds, np.ones(len(odds))))
    found = np.array([1.0, 0.0])
    loss = _log_loss(design @ found, targets)
    for _ in range(_STEPS):
        q = sigmoid(design @ found)
        gradient = design.T @ (q - targets)
        weight = np.maximum(q * (1 - q), _SMALL)
        step = np.linalg.lstsq((design * weight[:, None]).T @ design, gradient, rcond=None)[0]
        size = 1.0
        while (less := _log_loss(design @ (found - size * step), targets)) > loss and size > _STILL:
            size /= 2
        found = found - size * step
        if loss - less < _STILL * (1 + abs(loss)):
            break
        loss = less
    return float(found[0]), float(found[1])


def _log_loss(scores: Float64Array, targets: Float64Array) -> float:
    """Sum over molecules of the cross entropy of ``targets`` and ``sigmoid(scores)``."""
    return float((np.logaddexp(0.0, scores) - targets * scores).sum())


def expected_calibration_error(probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 10) -> float:
    """Mean distance of what is said from what comes true, 0 to 1 (Naeini et al. 2015); NaN without labels.

    Molecules are sorted by the probability of class 1 into ``bins`` of equal count, so that no bin is nearly
    empty; the distance in each is that of its mean probability from its share of class 1, weighed by count.

    Args:
        probabilities: [n] of class 1; NaN is left out.
        labels: [n] of 0 and 1; NaN is left out.
        bins: their number, at most one per molecule.
    """
    p, y = _known(probabilities, labels)
    if not len(p):
        return float("nan")
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(bins, len(p)))
    return float(sum(abs((p[part] - y[part]).sum()) for part in parts) / len(p))


def _known(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Float64Array, Float64Array]:
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    known = ~np.isnan(p) & ~np.isnan(y)
    return p[known], y[known]
