"""Scores of several classes against scikit-learn, whole and resampled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics.bootstrap import intervals, paired_difference
from moleblend_plugin.metrics.scores import METRICS, MULTICLASS, score_multiclass

NAN = float("nan")


def example(molecules: int = 80, classes: int = 4, seed: int = 3) -> tuple[Any, Any]:
    """Labels [M, 1], some missing, and probabilities [M, K]."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=molecules).astype(float)
    logits = rng.normal(size=(molecules, classes)) + 1.5 * np.eye(classes)[labels.astype(int)]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels[::9] = NAN
    return labels[:, None], probabilities


def test_every_score_is_that_of_scikit_learn() -> None:
    targets, probabilities = example()
    known = ~np.isnan(targets[:, 0])
    true, given = targets[known, 0], probabilities[known]
    found = {
        name: score.per_task["tox"]
        for name, score in score_multiclass(targets, probabilities, ["tox"]).items()
    }
    expected = {
        "roc_auc_ovr": sklearn_metrics.roc_auc_score(true, given, multi_class="ovr", average="macro"),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(true, given.argmax(1)),
        "accuracy": sklearn_metrics.accuracy_score(true, given.argmax(1)),
        "log_loss": sklearn_metrics.log_loss(true, given),
    }
    assert found == pytest.approx(expected)
    assert tuple(found) == MULTICLASS


def test_a_class_without_label_is_left_out_of_the_mean() -> None:
    targets, probabilities = example()
    targets[targets == 2] = NAN
    known = ~np.isnan(targets[:, 0])
    found = score_multiclass(targets, probabilities, ["tox"])
    areas = [
        sklearn_metrics.roc_auc_score(targets[known, 0] == number, probabilities[known, number])
        for number in (0, 1, 3)
    ]
    assert found["roc_auc_ovr"].mean == pytest.approx(np.mean(areas))
    one = np.where(np.isnan(targets), NAN, 1.0)
    assert score_multiclass(one, probabilities, ["tox"])["roc_auc_ovr"].left_out == ("tox",)
    assert "tox" in score_multiclass(one, probabilities, ["tox"])["accuracy"].per_task


@pytest.mark.parametrize("score", MULTICLASS)
def test_a_weight_is_a_number_of_copies(score: str) -> None:
    targets, probabilities = example(25, 3)
    known = ~np.isnan(targets[:, 0])
    labels, values = targets[known, 0], probabilities[known]
    times = np.random.default_rng(0).integers(3, size=(6, len(labels)))
    found = METRICS[score].weighted(labels, values, times.astype(float))
    for row, weights in enumerate(times):
        drawn = np.repeat(np.arange(len(labels)), weights)
        expected = score_multiclass(labels[drawn, None], values[drawn], ["y"])[score].mean
        assert found[row] == pytest.approx(expected)
    assert np.isnan(METRICS[score].weighted(labels, values, np.zeros((1, len(labels)))))


def test_intervals_and_pairs_hold_the_score() -> None:
    targets, probabilities = example()
    score = score_multiclass(targets, probabilities, ["y"])["accuracy"].mean
    low, high = intervals("accuracy", targets, probabilities, 200).mean
    assert low < score < high
    equal = np.full_like(probabilities, 0.25)
    found = paired_difference("log_loss", targets, probabilities, equal, 200)
    assert found.high < 0


@pytest.mark.parametrize(
    ("label", "probability", "message"),
    [(4.0, 0.2, "classes are 0 to 3"), (0.5, 0.2, "classes are 0 to 3"), (0.0, NAN, "not finite")],
)
def test_what_cannot_be_scored_is_named(label: float, probability: float, message: str) -> None:
    targets, probabilities = example()
    targets[5], probabilities[5] = label, probability
    with pytest.raises(MoleblendError, match=message):
        score_multiclass(targets, probabilities, ["tox"])
    with pytest.raises(MoleblendError, match="must be"):
        score_multiclass(targets, probabilities[:, 0], ["tox"])
