"""Prediction sets of one target with two or more classes: every class that cannot be excluded.

Conformal by class (Vovk et al. 2005, "Mondrian"): a class is excluded if at most ``1 - level`` of the
calibration molecules *of that class* look less like it. So each class is in the sets of its own molecules
with probability ``level`` or more, the rare one too, which one threshold for all molecules does not give
(Romano, Sesia and Candes 2020, "Classification with valid and adaptive coverage", on coverage given the
class). Where all classes are excluded, the set would be empty, which says nothing about the class: it holds
the class that is excluded last, so sets are larger than the guarantee needs, never smaller.

Legend: n calibration molecules, M new ones, K classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from moleblend_plugin.schema import Float64Array
from moleblend_plugin.trust.conformal import check_level, p_values


def class_p_values(probabilities: npt.ArrayLike, labels: npt.ArrayLike, new: npt.ArrayLike) -> Float64Array:
    """p-value [M, 2] of class 0 and class 1 for every new molecule.

    Args:
        probabilities: [n] of class 1, by models that were not trained on the molecule; NaN is left out.
        labels: [n] of 0 and 1; NaN is left out.
        new: [M], probabilities of class 1 of new molecules; NaN gives NaN.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    values = np.asarray(new, np.float64)
    return np.column_stack((p_values(p[y == 0], values), p_values(1 - p[y == 1], 1 - values)))


def multiclass_p_values(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, new: npt.ArrayLike
) -> Float64Array:
    """p-value [M, K] of every class for every new molecule, whose strangeness is 1 - its probability.

    Args:
        probabilities: [n, K], by models that were not trained on the molecule; NaN is left out.
        labels: [n] of 0 to K - 1; NaN is left out.
        new: [M, K], probabilities of new molecules; NaN gives NaN.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    values = np.asarray(new, np.float64)
    columns = range(values.shape[1])
    return np.column_stack([p_values(1 - p[y == each, each], 1 - values[:, each]) for each in columns])


def prediction_sets(p: Float64Array, level: float) -> npt.NDArray[np.bool_]:
    """Which classes the sets hold: bool [M, K], all ``False`` only where there is no prediction.

    Args:
        p: [M, K], p-values of the classes; NaN where there is no prediction.
        level: wanted coverage of each class.
    """
    # 1 - 0.9 is a little below 0.1, which a p-value of 0.1 must not exceed.
    inside: npt.NDArray[np.bool_] = np.round(p, 9) > round(1 - check_level(level), 9)
    empty = ~inside.any(1) & ~np.isnan(p).any(1)
    inside[empty, p[empty].argmax(1)] = True
    return inside
