"""Scores of one column of several classes. The formulas are scikit-learn's.

Each comes twice: of all molecules, and under many sets of integer weights at once for the bootstrap
(``metrics/weighted.py``). ``roc_auc_ovr`` is the mean over classes of the area of one class against the
rest; a class that nothing, or everything, is labelled with has none and is left out of the mean.

Legend: L labelled molecules, K classes, S resamples.
"""

from __future__ import annotations

import numpy as np

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics import weighted
from moleblend_plugin.schema import Float64Array

_LEAST = float(np.finfo(np.float64).eps)
"""A probability of 0 counts as this much, as in scikit-learn's ``log_loss``."""


def check_multiclass(targets: Float64Array, probabilities: Float64Array, name: str) -> None:
    """Refuse what cannot be scored.

    Args:
        targets: [M, 1] of 0 to K - 1, NaN where a label is missing.
        probabilities: [M, K]; what stands at a missing label is not looked at.
        name: of the task.

    Raises:
        MoleblendError: shapes do not fit, a label is no class, or a prediction of a labelled molecule is not
            finite.
    """
    rows, classes = len(targets), probabilities.shape[-1]
    if targets.shape != (rows, 1) or probabilities.shape != (rows, classes) or classes < 2:
        raise MoleblendError(
            f"targets {targets.shape} and probabilities {probabilities.shape} must be [molecules, 1] and "
            "[molecules, classes]"
        )
    labels = targets[:, 0]
    known = ~np.isnan(labels)
    odd = known & ~((labels >= 0) & (labels < classes) & (labels == np.floor(labels)))
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise MoleblendError(
            f"task {name!r} has the label {labels[row]:g} (molecule number {row}); classes are 0 to "
            f"{classes - 1}, and an empty cell is missing"
        )
    bad = known & ~np.isfinite(probabilities).all(1)
    if bad.any():
        raise MoleblendError(
            f"task {name!r}: {bad.sum()} of {known.sum()} labelled molecules have a prediction that is not "
            f"finite (first: number {int(np.flatnonzero(bad)[0])}); set such molecules aside before scoring"
        )


def roc_auc_ovr(labels: Float64Array, probabilities: Float64Array) -> float:
    """Mean over classes of the area under the ROC curve of one class against the rest."""
    return float(weighted_roc_auc_ovr(labels, probabilities, np.ones((1, len(labels))))[0])


def balanced_accuracy(labels: Float64Array, probabilities: Float64Array) -> float:
    """Mean over the classes that are labelled of the share that is predicted as such."""
    right = probabilities.argmax(1) == labels
    return float(np.mean([right[labels == number].mean() for number in np.unique(labels)]))


def accuracy(labels: Float64Array, probabilities: Float64Array) -> float:
    """Share of the molecules whose likeliest class is theirs."""
    return float((probabilities.argmax(1) == labels).mean())


def log_loss(labels: Float64Array, probabilities: Float64Array) -> float:
    """Mean of minus the logarithm of the probability of the class (cross-entropy)."""
    return float(_surprises(labels, probabilities).mean())


def weighted_roc_auc_ovr(
    labels: Float64Array, probabilities: Float64Array, weights: Float64Array
) -> Float64Array:
    """:func:`roc_auc_ovr` under ``weights`` [S, L]: [S]."""
    areas = np.array(
        [
            weighted.roc_auc((labels == number).astype(np.float64), column, weights)
            for number, column in enumerate(probabilities.T)
        ]
    )
    return _mean_of_defined(areas)


def weighted_balanced_accuracy(
    labels: Float64Array, probabilities: Float64Array, weights: Float64Array
) -> Float64Array:
    """:func:`balanced_accuracy` under ``weights`` [S, L]: [S]."""
    right = probabilities.argmax(1) == labels
    recalls = []
    for number in np.unique(labels):
        drawn = weights[:, labels == number]
        recalls.append(_ratio(drawn @ right[labels == number], drawn.sum(1)))
    return _mean_of_defined(np.array(recalls))


def weighted_accuracy(
    labels: Float64Array, probabilities: Float64Array, weights: Float64Array
) -> Float64Array:
    """:func:`accuracy` under ``weights`` [S, L]: [S]."""
    right = (probabilities.argmax(1) == labels).astype(np.float64)
    return _ratio(weights @ right, weights.sum(1))


def weighted_log_loss(
    labels: Float64Array, probabilities: Float64Array, weights: Float64Array
) -> Float64Array:
    """:func:`log_loss` under ``weights`` [S, L]: [S]."""
    return _ratio(weights @ _surprises(labels, probabilities), weights.sum(1))


def _surprises(labels: Float64Array, probabilities: Float64Array) -> Float64Array:
    """Minus the logarithm of the probability of each molecule's class [L]."""
    total = probabilities.sum(1)
    own = np.take_along_axis(probabilities, labels.astype(np.int64)[:, None], 1)[:, 0] / total
    found: Float64Array = -np.log(np.clip(own, _LEAST, 1.0))
    return found


def _mean_of_defined(scores: Float64Array) -> Float64Array:
    """Mean [S] over classes [K, S] that have a score, NaN where none has."""
    known = ~np.isnan(scores)
    return _ratio(np.where(known, scores, 0.0).sum(0), known.sum(0).astype(np.float64))


def _ratio(top: Float64Array, bottom: Float64Array) -> Float64Array:
    """``top / bottom``, NaN where the latter is 0."""
    found: Float64Array = np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)
    return found
