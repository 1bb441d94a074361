"""Scores of predictions with missing labels, and how sure they are. Knows numbers, not models or files."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.metrics.bootstrap import Difference, Intervals, holm, intervals, paired_difference
    from moleblend_plugin.metrics.scores import (
        TaskScores,
        score_classification,
        score_multiclass,
        score_regression,
    )
    from moleblend_plugin.metrics.weighted import mae, pr_auc, r2, rmse, roc_auc, spearman

__all__ = [
    "Difference",
    "Intervals",
    "TaskScores",
    "holm",
    "intervals",
    "mae",
    "paired_difference",
    "pr_auc",
    "r2",
    "rmse",
    "roc_auc",
    "score_classification",
    "score_multiclass",
    "score_regression",
    "spearman",
]

__getattr__ = exports(__name__, __file__)
