"""Scores per task and their mean, with missing labels. The formulas are scikit-learn's and SciPy's.

Legend: M molecules, T tasks, R rows (conformers), L labelled molecules of one task.

A task is *left out* of a score, and named, where the score is undefined on its labels:

=================  =====================================================================
score              left out where
=================  =====================================================================
roc_auc, pr_auc    fewer than two classes are labelled
rmse, mae          nothing is labelled
roc_auc_ovr        fewer than two classes are labelled
other multiclass   nothing is labelled
r2, spearman       fewer than two molecules are labelled, or all labels are equal
=================  =====================================================================

This depends on the labels alone, so two models are always compared on the same tasks. Spearman's
correlation of predictions that are all equal is no number either; it counts as 0 here (nothing is ranked),
because leaving the task out would reward a model for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.metrics import multiclass, weighted
from moleblend_plugin.metrics.weighted import WeightedScore
from moleblend_plugin.schema import Curve, Float64Array

TaskScore = Callable[[Float64Array, Float64Array], float]
"""(labels [L], predictions [L], or [L, K] of K classes) -> score; no NaN, and the score is defined."""


Scorer = Callable[[npt.ArrayLike, npt.ArrayLike, Sequence[str]], "dict[str, TaskScores]"]
"""(targets [M, T], predictions [M, T], names of the tasks) -> every score of a kind of labels.

Of "multiclass" there is one task, and predictions are probabilities of its classes [M, K]."""


class Metric(NamedTuple):
    """One score of predictions.

    Attributes:
        score: of one task.
        weighted: the same of many resamples at once.
        kind: of the labels that it is made for.
        curve: its mean over tasks in logs.
    """

    score: TaskScore
    weighted: WeightedScore
    kind: ColumnKind
    curve: Curve

    @property
    def rises(self) -> bool:
        """Whether more is better."""
        return self.curve.rises


class TaskScores(NamedTuple):
    """One score of every task.

    Attributes:
        per_task: score of every task counted, in the order of the names; a task left out is not in it.
        mean: mean over ``per_task``; NaN only where every task is left out.
        left_out: names of the tasks on which the score is undefined.
    """

    per_task: dict[str, float]
    mean: float
    left_out: tuple[str, ...]


def score_classification(
    targets: npt.ArrayLike, probabilities: npt.ArrayLike, names: Sequence[str]
) -> dict[str, TaskScores]:
    """Areas under the ROC curve (``roc_auc``) and the precision-recall curve (``pr_auc``).

    The latter is average precision (a step function, no interpolation), as scikit-learn advises.

    Args:
        targets: [M, T] of 0, 1 or NaN where a label is missing.
        probabilities: [M, T]; only their order matters. What stands at a missing label is not looked at.
        names: T names of tasks.

    Raises:
        MoleblendError: shapes differ, a label is neither 0 nor 1, or a prediction of a labelled molecule
            is not finite.
    """
    labels, values = checked(targets, probabilities, names)
    check_classes(labels, names)
    return {name: _score(name, labels, values, names) for name in CLASSIFICATION}


def score_regression(
    targets: npt.ArrayLike, predictions: npt.ArrayLike, names: Sequence[str]
) -> dict[str, TaskScores]:
    """``rmse`` and ``mae`` in the labels' units, ``r2`` (coefficient of determination) and ``spearman``.

    Args:
        targets: [M, T], NaN where a label is missing.
        predictions: [M, T]; what stands at a missing label is not looked at.
        names: T names of tasks.

    Raises:
        MoleblendError: shapes differ, or a prediction of a labelled molecule is not finite.
    """
    labels, values = checked(targets, predictions, names)
    return {name: _score(name, labels, values, names) for name in REGRESSION}


def score_multiclass(
    targets: npt.ArrayLike, probabilities: npt.ArrayLike, names: Sequence[str]
) -> dict[str, TaskScores]:
    """Of one column of several classes: ``roc_auc_ovr`` (macro mean of the areas of one class against the
    rest), ``balanced_accuracy``, ``accuracy`` and ``log_loss``.

    Args:
        targets: [M, 1] of 0 to K - 1, NaN where a label is missing.
        probabilities: [M, K]; what stands at a missing label is not looked at.
        names: the name of the column.

    Raises:
        MoleblendError: shapes do not fit, a label is no class, or a prediction of a labelled molecule is not
            finite.
    """
    labels, values = np.asarray(targets, np.float64), np.asarray(probabilities, np.float64)
    multiclass.check_multiclass(labels, values, names[0])
    return {name: _score(name, labels, values, names) for name in MULTICLASS}


def average_rows(
    index: npt.ArrayLike, values: npt.ArrayLike
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Mean of the rows of each molecule, so that a molecule counts once whatever its conformers.

    Average probabilities or values in original units, not logits.

    Args:
        index: integer [R], the molecule of each row, in any order.
        values: [R, T].

    Returns:
        The molecules [M], each once and ascending, and the means [M, T].
    """
    rows, numbers = np.asarray(values, np.float64), np.asarray(index, np.int64)
    if rows.ndim != 2 or numbers.shape != rows.shape[:1]:
        raise MoleblendError(f"values {rows.shape} need one molecule number per row; got {numbers.shape}")
    unique, where, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    sums = np.zeros((len(unique), rows.shape[1]))
    np.add.at(sums, where.reshape(-1), rows)
    return unique, sums / counts[:, None]


def checked(
    targets: npt.ArrayLike, predictions: npt.ArrayLike, names: Sequence[str] | None = None
) -> tuple[Float64Array, Float64Array]:
    """Both as float64 [M, T].

    Raises:
        MoleblendError: shapes differ or do not fit ``names``, a name is given twice, a label is
            infinite, or a prediction of a labelled molecule is not finite.
    """
    labels, values = np.asarray(targets, np.float64), np.asarray(predictions, np.float64)
    if labels.ndim != 2 or labels.shape != values.shape:
        raise MoleblendError(
            f"targets {labels.shape} and predictions {values.shape} must both be [molecules, tasks]"
        )
    tasks = range(labels.shape[1]) if names is None else names
    if len(tasks) != labels.shape[1]:
        raise MoleblendError(f"{len(tasks)} names for {labels.shape[1]} tasks; give one for each")
    if len(set(tasks)) != len(tasks):
        raise MoleblendError(f"two tasks have one name among {', '.join(map(str, tasks))}; rename one")
    endless = np.isinf(labels)
    if endless.any():
        row, task = np.argwhere(endless)[0]
        raise MoleblendError(
            f"task {tasks[task]!r}: {endless.sum()} labels are infinite (first: number {row}, label "
            f"{labels[row, task]}); correct them, or leave them empty"
        )
    labelled = ~np.isnan(labels)
    bad = labelled & ~np.isfinite(values)
    if bad.any():
        row, task = np.argwhere(bad)[0]
        raise MoleblendError(
            f"task {tasks[task]!r}: {bad.sum()} of {labelled.sum()} labelled molecules have a prediction "
            f"that is not finite (first: number {row}, label {labels[row, task]}, prediction "
            f"{values[row, task]}); {_blame(int(bad.sum()), int(labelled.sum()))}"
        )
    return labels, values


def _blame(bad: int, of: int) -> str:
    if 2 * bad > of:
        return "the model that made them has diverged: lower its learning rate or clip its gradients"
    return "set such molecules aside before scoring"


def check_classes(labels: Float64Array, names: Sequence[str] | None = None) -> None:
    """Refuse labels [M, T] other than 0, 1 and NaN (``MoleblendError``)."""
    odd = ~(np.isnan(labels) | (labels == 0) | (labels == 1))
    if odd.any():
        row, task = np.argwhere(odd)[0]
        name = int(task) if names is None else names[task]
        raise MoleblendError(
            f"task {name!r} has the label {labels[row, task]:g} (molecule number {row}); "
            "classes are 0 and 1, and an empty cell is missing"
        )


def is_defined(score: str, labels: Float64Array) -> bool:
    """Whether a score exists on these labels [L] (table at the top of the file)."""
    if score in CLASSIFICATION or score in ("r2", "spearman", "roc_auc_ovr"):
        return len(labels) > 0 and bool(labels.min() < labels.max())
    return len(labels) > 0


def columns_of_task(score: str, values: Float64Array, task: int) -> Float64Array:
    """Predictions [M] of a task among those of all [M, T]; of several classes in one column all, [M, K]."""
    return values if METRICS[score].kind == "multiclass" else values[:, task]


def _score(score: str, labels: Float64Array, values: Float64Array, names: Sequence[str]) -> TaskScores:
    per_task: dict[str, float] = {}
    left_out: list[str] = []
    for task, name in enumerate(names):
        known = ~np.isnan(labels[:, task])
        if is_defined(score, labels[known, task]):
            of_task = columns_of_task(score, values, task)[known]
            per_task[name] = float(METRICS[score].score(labels[known, task], of_task))
        else:
            left_out.append(name)
    mean = float(np.mean(list(per_task.values()))) if per_task else float("nan")
    return TaskScores(per_task, mean, tuple(left_out))


def _once(weighted_score: WeightedScore) -> TaskScore:
    """Of every molecule once; scikit-learn has these scores too, and brings pandas and 90 MB with them."""

    def score(labels: Float64Array, values: Float64Array) -> float:
        return float(weighted_score(labels, values, np.ones((1, len(labels))))[0])

    return score


_ALL: Final = (
    Metric(
        _once(weighted.roc_auc),
        weighted.roc_auc,
        "classification",
        Curve("roc_auc", "ROC AUC", "area", rises=True),
    ),
    Metric(
        _once(weighted.pr_auc),
        weighted.pr_auc,
        "classification",
        Curve("pr_auc", "PR AUC", "area", rises=True),
    ),
    Metric(
        multiclass.roc_auc_ovr,
        multiclass.weighted_roc_auc_ovr,
        "multiclass",
        Curve("roc_auc_ovr", "Macro ROC AUC", "area", rises=True),
    ),
    Metric(
        multiclass.balanced_accuracy,
        multiclass.weighted_balanced_accuracy,
        "multiclass",
        Curve("balanced_accuracy", "Balanced accuracy", "fraction", rises=True),
    ),
    Metric(
        multiclass.accuracy,
        multiclass.weighted_accuracy,
        "multiclass",
        Curve("accuracy", "Accuracy", "fraction", rises=True),
    ),
    Metric(
        multiclass.log_loss,
        multiclass.weighted_log_loss,
        "multiclass",
        Curve("log_loss", "Log loss", "nats"),
    ),
    Metric(_once(weighted.rmse), weighted.rmse, "regression", Curve("rmse", "RMSE", "units of the labels")),
    Metric(_once(weighted.mae), weighted.mae, "regression", Curve("mae", "MAE", "units of the labels")),
    Metric(
        _once(weighted.r2), weighted.r2, "regression", Curve("r2", "R²", "fraction of variance", rises=True)
    ),
    Metric(
        _once(weighted.spearman),
        weighted.spearman,
        "regression",
        Curve("spearman", "Spearman", "rank correlation", True),
    ),
)
METRICS: Final = {metric.curve.key: metric for metric in _ALL}
"""Every score, by the name under which it is logged and selects checkpoints."""

CLASSIFICATION: Final = tuple(name for name, metric in METRICS.items() if metric.kind == "classification")
MULTICLASS: Final = tuple(name for name, metric in METRICS.items() if metric.kind == "multiclass")
REGRESSION: Final = tuple(name for name, metric in METRICS.items() if metric.kind == "regression")

SCORERS: Final[dict[ColumnKind, Scorer]] = {
    "classification": score_classification,
    "multiclass": score_multiclass,
    "regression": score_regression,
}
