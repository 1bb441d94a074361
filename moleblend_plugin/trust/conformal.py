"""Split conformal prediction: ranks, quantiles and p-values with the guarantee of finite samples.

If the scores of n calibration molecules and that of a new one are exchangeable (any order of them is as
likely as any other), the new score is at most the ``ceil((n + 1) level)``-th smallest of the n with
probability ``level`` or more, whatever the model and the distribution of its errors (Vovk, Gammerman and
Shafer 2005, "Algorithmic learning in a random world"; Lei et al. 2018, "Distribution-free predictive
inference for regression", JASA 113, 1094). Without ties it is less than ``level + 1 / (n + 1)``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float64Array

_DIGITS = 9
"""To which ``n * level`` is rounded: 0.9 has no exact float, and 10 * 0.9 must not end above 9."""


def check_level(level: float) -> float:
    """``level`` if it is one.

    Raises:
        MoleblendError: it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise MoleblendError(f"level={level:g}: give a number between 0 and 1, such as 0.9")
    return level


def conformal_rank(n: int, level: float) -> int:
    """``ceil((n + 1) level)``: which of n sorted scores covers a new one at ``level``; above n, none does."""
    return math.ceil(round((n + 1) * check_level(level), _DIGITS))


def rows_needed(level: float) -> int:
    """Calibration molecules without which no score covers at ``level``: 9 at 0.9, 19 at 0.95, 99 at 0.99."""
    return math.ceil(round(level / (1 - check_level(level)), _DIGITS))


def conformal_quantile(scores: npt.ArrayLike, level: float) -> float:
    """The score that a new molecule's does not exceed with probability ``level`` or more.

    Args:
        scores: [n] of calibration molecules, the larger the worse; NaN is left out.
        level: wanted coverage, between 0 and 1.

    Returns:
        One of the scores, or infinity where there are too few for the level (:func:`rows_needed`).

    Raises:
        MoleblendError: ``level`` is out of range.
    """
    values = np.asarray(scores, np.float64)
    values = values[~np.isnan(values)]
    rank = conformal_rank(len(values), level)
    return math.inf if rank > len(values) else float(np.partition(values, rank - 1)[rank - 1])


def p_values(scores: npt.ArrayLike, new: npt.ArrayLike) -> Float64Array:
    """Share of molecules that are at least as strange as each new one, itself among them: [m].

    Args:
        scores: [n] of calibration molecules, the larger the stranger; NaN is left out.
        new: [m], scores of new molecules; NaN gives NaN.
    """
    known = np.asarray(scores, np.float64)
    known = np.sort(known[~np.isnan(known)])
    values = np.asarray(new, np.float64)
    at_least = len(known) - np.searchsorted(known, values, side="left")
    return np.where(np.isnan(values), np.nan, (at_least + 1) / (len(known) + 1))
