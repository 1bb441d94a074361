"""Intervals of one target from residuals of molecules that the model was not trained on.

Legend: n calibration molecules, M new ones.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float64Array
from moleblend_plugin.trust.conformal import conformal_quantile

ResidualKind = Literal["absolute", "normalised"]
"""What is compared: ``absolute`` residuals give every molecule one width; ``normalised`` ones are divided by
the error that is expected so far from the training molecules, and give wider intervals there."""

_LEAST: Final = 0.1
"""Expected error of a molecule that training knows, as a share of the mean error, at least."""


class ErrorLine(NamedTuple):
    """The error that is expected of a molecule: ``base + slope (1 - similarity)``, in the target's unit."""

    base: float
    slope: float

    def __call__(self, similarity: npt.ArrayLike) -> Float64Array:
        """Expected absolute errors of molecules, by similarity to the nearest training molecule."""
        found: Float64Array = self.base + self.slope * (1 - np.asarray(similarity, np.float64))
        return found


def fit_error_line(residuals: npt.ArrayLike, similarity: npt.ArrayLike) -> ErrorLine:
    """The line of least squares through absolute residuals; it never falls with distance, nor below 10 % of
    their mean.

    Args:
        residuals: [n], label minus prediction; NaN is left out.
        similarity: [n], to the nearest molecule that the prediction's model was trained on; NaN is left out.
    """
    errors, distance = np.abs(np.asarray(residuals, np.float64)), 1 - np.asarray(similarity, np.float64)
    known = np.isfinite(errors) & np.isfinite(distance)
    if not known.any():
        return ErrorLine(1.0, 0.0)
    errors, distance = errors[known], distance[known]
    mean, middle = float(errors.mean()), float(distance.mean())
    variance = float(((distance - middle) ** 2).mean())
    slope = float(((distance - middle) * (errors - mean)).mean()) / variance if variance > 0 else 0.0
    slope = max(slope, 0.0)
    least = _LEAST * mean if mean > 0 else 1.0
    return ErrorLine(max(mean - slope * middle, least), slope)


def half_widths(
    residuals: npt.ArrayLike,
    similarity: npt.ArrayLike,
    new_similarity: npt.ArrayLike,
    line: ErrorLine,
    level: float,
    kind: ResidualKind,
) -> Float64Array:
    """What is added to and taken from the predictions of M molecules: [M], in the target's unit.

    Args:
        residuals: [n], label minus prediction, NaN where one is missing.
        similarity: [n], to the nearest molecule that the prediction's model was trained on.
        new_similarity: [M], of the new molecules to the nearest training molecule.
        line: what :func:`fit_error_line` gave for these residuals.
        level: wanted coverage.
        kind: see :data:`ResidualKind`.

    Returns:
        Infinity where there are too few residuals for the level (``conformal.rows_needed``).

    Raises:
        MoleblendError: the kind is unknown, or the level out of range.
    """
    if kind not in get_args(ResidualKind):
        raise MoleblendError(
            f"residuals={kind!r} is unknown; choose from {', '.join(get_args(ResidualKind))}"
        )
    errors = np.abs(np.asarray(residuals, np.float64))
    new = np.asarray(new_similarity, np.float64)
    if kind == "absolute":
        return np.full(new.shape, conformal_quantile(errors, level))
    quantile = conformal_quantile(errors / line(similarity), level)
    return quantile * line(np.where(np.isnan(new), 0.0, new))
