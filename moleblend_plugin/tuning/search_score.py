"""The score of a fold, by which trials are compared."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.label_kinds import Kinds, each_kind
from moleblend_plugin.metrics.scores import METRICS, columns_of_task, is_defined
from moleblend_plugin.schema import Float64Array, LabelKind

_METRIC_OF: Final = {"regression": "rmse", "classification": "roc_auc", "multiclass": "roc_auc_ovr"}
_OF_MIXED: Final = {"regression": "r2", "classification": "roc_auc"}
"""Where columns are of both kinds: both are 1 at best, and more is better, as in ``MoleblendMixed.score``."""


class SearchScore(NamedTuple):
    """What a search goes by.

    Attributes:
        name: in files.
        title: on pages.
        rises: whether more is better.
    """

    name: str
    title: str
    rises: bool


def search_score(kind: LabelKind, targets: int) -> SearchScore:
    """The score for labels of a kind, in so many columns."""
    if kind == "mixed":
        titles = " and ".join(METRICS[metric].curve.title for metric in _OF_MIXED.values())
        return SearchScore("score", f"{titles}, mean of {targets} targets", True)
    metric = METRICS[_METRIC_OF[kind]]
    title = metric.curve.title
    scaled = kind == "regression" and targets > 1
    return SearchScore(
        _METRIC_OF[kind], f"{title} / sd, mean of {targets} targets" if scaled else title, metric.rises
    )


def fold_scores(
    labels: Float64Array, predictions: Float64Array, folds: npt.NDArray[np.int64], kinds: Kinds
) -> tuple[float, ...]:
    """Score of every fold, the mean over its targets; NaN where it is undefined.

    Args:
        labels: [n, T], NaN where one is missing.
        predictions: [n, T], of one of K classes [n, K], of every molecule by what was not trained on it.
        folds: int64 [n], -1 for molecules that do not count.
        kinds: of all targets or of each. RMSE of values (of several targets in units of their standard
            deviations, so that none outweighs the others), ROC-AUC of classes, of several the mean of each
            against the rest; of values and classes together R2 and ROC-AUC.
    """
    each = each_kind(kinds, labels.shape[1])
    metrics = [(_METRIC_OF if len(set(each)) == 1 else _OF_MIXED)[kind] for kind in each]
    scale = np.ones(labels.shape[1])
    if labels.shape[1] > 1 and set(metrics) == {"rmse"}:
        spread = np.nanstd(labels[folds >= 0], axis=0)
        scale = np.where(spread > 0, spread, 1.0)
    found = []
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        scores = []
        for target, metric in enumerate(metrics):
            known = held & ~np.isnan(labels[:, target])
            true = labels[known, target]
            if len(true) and is_defined(metric, true):
                of_task = columns_of_task(metric, predictions, target)[known]
                scores.append(METRICS[metric].score(true, of_task) / scale[target])
        found.append(float(np.mean(scores)) if scores else float("nan"))
    return tuple(found)
