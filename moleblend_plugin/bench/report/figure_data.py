"""What the pictures show, as numbers: mean ROC curves, mean predictions, scores by size of scaffold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from moleblend_plugin.bench.report.summary import CellGroup
from moleblend_plugin.metrics.scores import METRICS, SCORERS
from moleblend_plugin.schema import Float64Array

BINS: Final = ((1, 1), (2, 5), (6, 20), (21, None))
"""Sizes of scaffolds, both ends counted."""


class BinScore(NamedTuple):
    """Score of the test molecules whose scaffolds are of like size.

    Attributes:
        label: the sizes, such as ``2-5``.
        molecules: how many are tested.
        score: mean over seeds; NaN where no task can be scored.
    """

    label: str
    molecules: int
    score: float


def by_scaffold_size(group: CellGroup, metric: str, sizes: Mapping[str, int]) -> list[BinScore]:
    """Test score of molecules whose scaffold is rare or common in the set; sizes that nobody has are absent.

    Args:
        group: one model's cells.
        metric: of the score.
        sizes: by row id, molecules of the whole set with the same scaffold.
    """
    scored = SCORERS[METRICS[metric].kind]
    arrays = [group.arrays(seed) for seed in group.results]
    counts = np.array([sizes.get(row, 0) for row in arrays[0]["test_ids"].tolist()])
    found = []
    for low, high in BINS:
        inside = (counts >= low) & (counts <= (high or np.inf))
        if not inside.any():
            continue
        scores = [
            scored(one["test_targets"][inside], one["test_predictions"][inside], one["names"].tolist())[
                metric
            ].mean
            for one in arrays
        ]
        label = f"{low}" if low == high else f"{low}-{high}" if high else f"{low}+"
        found.append(BinScore(label, int(inside.sum()), float(np.mean(scores))))
    return found


def mean_roc(group: CellGroup) -> tuple[Float64Array, Float64Array]:
    """False and true positive rates [101], the latter a mean over tasks with both classes and seeds."""
    from sklearn.metrics import roc_curve

    grid = np.linspace(0, 1, 101)
    curves = []
    for seed in group.results:
        one = group.arrays(seed)
        for labels, values in zip(one["test_targets"].T, one["test_predictions"].T, strict=True):
            known = ~np.isnan(labels)
            if known.any() and labels[known].min() < labels[known].max():
                false, true, _ = roc_curve(labels[known], values[known])
                curves.append(np.interp(grid, false, true))
    if not curves:
        return grid, np.full(len(grid), np.nan)
    rates: Float64Array = np.mean(curves, axis=0)
    return grid, np.where(grid == 0, 0.0, rates)


def mean_predictions(group: CellGroup) -> tuple[Float64Array, Float64Array]:
    """Labels and predictions [L] of all labelled test molecules, predictions averaged over seeds."""
    arrays = [group.arrays(seed) for seed in group.results]
    labels = arrays[0]["test_targets"]
    predictions = np.mean([one["test_predictions"] for one in arrays], axis=0)
    known = ~np.isnan(labels)
    return labels[known], predictions[known]


def learning_curves(group: CellGroup) -> list[list[tuple[int, float]]]:
    """Per seed, (epoch, validation metric) as training logged them; empty for models without epochs."""
    curves = []
    for result in group.results.values():
        points = [(int(epoch), float(valid)) for epoch, valid, _ in result.get("curve", []) if valid == valid]
        if points:
            curves.append(points)
    return curves
