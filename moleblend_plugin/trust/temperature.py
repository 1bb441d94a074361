"""Calibrated probabilities of several classes: one temperature for all of them.

Temperature scaling (Guo et al. 2017, "On calibration of modern neural networks"): probabilities become
proportional to ``p ** (1 / T)`` with the T of least log loss on predictions of molecules that the model was
not trained on. One parameter needs few labels, and the likeliest class stays the likeliest.

Legend: n molecules with a label, K classes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.schema import Float64Array
from moleblend_plugin.trust.calibration import expected_calibration_error

LEAST_LABELS: Final = 20
"""Molecules without which probabilities stay as they are."""

_SURE: Final = 1e-6
"""Probabilities are kept this far from 0, of which a forest may say it."""
_HIGHEST: Final = 20.0
"""Temperatures lie between 1 / 20 and 20."""


class Temperature(NamedTuple):
    """A map of probabilities; the default leaves them alone.

    Attributes:
        value: above 1 the model was too sure, below 1 not sure enough.
    """

    value: float = 1.0

    def __call__(self, probabilities: npt.ArrayLike) -> Float64Array:
        """Calibrated probabilities [n, K] of probabilities [n, K]; NaN stays NaN."""
        given = np.asarray(probabilities, np.float64)
        if self == Temperature():
            return given
        logits = np.log(np.maximum(given, _SURE)) / self.value
        raised = np.exp(logits - logits.max(1, keepdims=True))
        found: Float64Array = raised / raised.sum(1, keepdims=True)
        return found


def fit_temperature(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> Temperature:
    """The map for a model, from what it said of molecules that it was not trained on.

    Args:
        probabilities: [n, K]; rows with NaN are left out.
        labels: [n] of 0 to K - 1; NaN is left out.

    Returns:
        The map; the one that changes nothing for fewer than twenty molecules.
    """
    from scipy.optimize import minimize_scalar

    p, y = _known(probabilities, labels)
    if len(y) < LEAST_LABELS:
        return Temperature()
    logits = np.log(np.maximum(p, _SURE))
    own = logits[np.arange(len(y)), y]

    def loss(inverse: float) -> float:
        """Log loss; it is convex in the inverse of the temperature."""
        scaled = logits * inverse
        highest = scaled.max(1)
        total = highest + np.log(np.exp(scaled - highest[:, None]).sum(1))
        return float((total - own * inverse).mean())

    found = minimize_scalar(loss, bounds=(1 / _HIGHEST, _HIGHEST), method="bounded")
    return Temperature(float(1 / found.x))


def top_class_calibration_error(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Expected calibration error of the likeliest class: how far what is said of it is from what comes true.

    Args:
        probabilities: [n, K]; rows with NaN are left out.
        labels: [n] of 0 to K - 1; NaN is left out.
    """
    p, y = _known(probabilities, labels)
    if not len(y):
        return float("nan")
    return expected_calibration_error(p.max(1), (p.argmax(1) == y).astype(np.float64))


def _known(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Float64Array, npt.NDArray[np.int64]]:
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    known = ~np.isnan(p).any(1) & ~np.isnan(y)
    return p[known], y[known].astype(np.int64)
