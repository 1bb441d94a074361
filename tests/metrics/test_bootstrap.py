"""Resampling: weights equal scikit-learn on drawn molecules; intervals behave as statistics says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics import bootstrap
from moleblend_plugin.metrics.bootstrap import holm, interval, paired_difference, resamples
from moleblend_plugin.metrics.scores import METRICS, score_classification, score_regression

NAN = float("nan")
CLASSES = ("roc_auc", "pr_auc")
SCORES = [name for name, metric in METRICS.items() if metric.kind != "multiclass"]


def mean_of(score: str) -> Callable[..., Any]:
    """The mean over tasks as `scores.py` gives it, for resampled arrays."""

    def plain(targets: Any, predictions: Any) -> Any:
        names = [str(task) for task in range(targets.shape[1])]
        scorer = score_classification if score in CLASSES else score_regression
        return scorer(targets, predictions, names)[score].mean

    return plain


@st.composite
def drawn_molecules(draw: Any, labels: Any) -> Any:
    size = draw(st.integers(1, 10))
    targets = draw(st.lists(st.sampled_from(labels), min_size=size, max_size=size))
    values = draw(st.lists(st.integers(0, 4).map(lambda n: n / 4), min_size=size, max_size=size))
    times = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size).filter(any))
    return np.array(targets), np.array(values), np.array(times)


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("score", SCORES)
@given(data=st.data())
def test_a_weight_is_a_number_of_copies(score: str, data: Any) -> None:
    labels = (0.0, 1.0) if score in CLASSES else (-2.0, 0.0, 0.5, 3.25)
    targets, values, times = data.draw(drawn_molecules(labels))
    rows = np.repeat(np.arange(len(times)), times)
    expected = mean_of(score)(targets[rows, None], values[rows, None])
    found = METRICS[score].weighted(targets, values, np.array([times, times], np.float64))
    np.testing.assert_allclose(found, [expected, expected], atol=1e-9)


def example(
    molecules: int = 60, tasks: int = 4, classes: bool = True
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    rng = np.random.default_rng(5)
    predictions = np.round(rng.random((molecules, tasks)), 1)
    targets = predictions + rng.normal(0, 0.3, predictions.shape)
    if classes:
        targets = (targets > 0.6).astype(float)
    targets[rng.random(targets.shape) < 0.3] = NAN
    targets[:, -1] = NAN
    targets[:2, -1] = [0, 1]  # in most resamples this task has one class or none
    return targets, predictions


@pytest.mark.parametrize("score", SCORES)
def test_a_named_score_equals_the_plain_function_on_every_resample(score: str) -> None:
    targets, predictions = example(classes=score in CLASSES)
    fast = resamples(score, targets, predictions, n=40, seed=3)
    plain = resamples(mean_of(score), targets, predictions, n=40, seed=3)
    assert fast.dropped == plain.dropped == 0
    np.testing.assert_allclose(fast.scores, plain.scores, atol=1e-9)


def test_draws_depend_on_the_seed_and_not_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    table = example()
    whole = resamples("roc_auc", *table, n=50, seed=1).scores
    monkeypatch.setattr(bootstrap, "_CELLS", 7 * len(table[0]))
    np.testing.assert_array_equal(resamples("roc_auc", *table, n=50, seed=1).scores, whole)
    assert not np.array_equal(resamples("roc_auc", *table, n=50, seed=2).scores, whole)


def test_resamples_without_a_score_are_dropped_and_counted() -> None:
    targets, predictions = np.array([[1.0], [0.0]]), np.array([[0.9], [0.1]])
    found = resamples("roc_auc", targets, predictions, n=2000)
    assert found.dropped / 2000 == pytest.approx(0.5, abs=0.05)  # both draws take the same molecule
    assert set(found.scores) == {1.0}
    assert len(found.scores) == 2000 - found.dropped
    assert interval("roc_auc", targets, predictions) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("score", "targets"),
    [("roc_auc", [[1.0], [1.0]]), ("roc_auc", [[NAN], [NAN]]), ("rmse", [[NAN], [NAN]]), ("rmse", [[1.0]])],
)
def test_without_a_score_there_is_no_interval(score: str, targets: list[list[float]]) -> None:
    predictions = np.full(np.shape(targets), 0.5)
    assert all(map(math.isnan, interval(score, targets, predictions)))
    assert math.isnan(paired_difference(score, targets, predictions, predictions).p)


def test_the_interval_of_a_mean_is_the_one_of_statistics() -> None:
    rng = np.random.default_rng(0)
    errors = np.abs(rng.normal(0, 1, (2000, 1)))
    low, high = interval("mae", np.zeros((2000, 1)), errors, n=2000)
    half = 1.96 * errors.std() / math.sqrt(2000)
    assert low == pytest.approx(errors.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(errors.mean() + half, abs=0.15 * half)


def test_molecules_are_drawn_with_all_their_tasks() -> None:
    errors = np.random.default_rng(0).random((50, 1))
    one = interval("mae", np.zeros((50, 1)), errors)
    assert interval("mae", np.zeros((50, 9)), np.repeat(errors, 9, axis=1)) == pytest.approx(one)


def test_a_paired_difference() -> None:
    rng = np.random.default_rng(1)
    targets = rng.normal(size=(300, 1))
    good, bad = targets + rng.normal(0, 0.5, (300, 1)), targets + rng.normal(0, 1.0, (300, 1))
    better = paired_difference("mae", targets, good, bad)
    assert better.difference == pytest.approx(np.abs(good - targets).mean() - np.abs(bad - targets).mean())
    assert better.low < better.difference < better.high < 0
    assert better.p == pytest.approx(2 / 1001)  # no resample on the other side
    worse = paired_difference("mae", targets, bad, good)
    assert worse == pytest.approx((-better.difference, -better.high, -better.low, better.p))
    assert paired_difference("mae", targets, good, good) == (0, 0, 0, 1)


def test_equal_models_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(2)
    found = []
    for seed in range(60):
        targets = rng.normal(size=(80, 1))
        a, b = targets + rng.normal(size=(80, 1)), targets + rng.normal(size=(80, 1))
        found.append(paired_difference("mae", targets, a, b, n=200, seed=seed).p)
    assert sum(p < 0.05 for p in found) <= 9  # 3 expected; more than 9 has a chance below 0.2 %
    assert sum(p < 0.5 for p in found) >= 15


def test_holms_correction() -> None:
    """0.01 x 4, 0.02 x 3 = 0.06, then 0.03 x 2 is no less than that, 0.9 x 1; NaN counts for none."""
    assert holm([0.03, 0.01, math.nan, 0.9, 0.02]) == pytest.approx(
        [0.06, 0.04, math.nan, 0.9, 0.06], nan_ok=True
    )
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("auc", [[1.0]], [[1.0]]), {}, "no score is named 'auc'; use roc_auc, pr_auc"),
        (("rmse", [[1.0]], [[1.0]]), {"n": 0}, "number of resamples is 0"),
        (("rmse", [[1.0]], [[1.0]]), {"level": 95}, "such as 0.95; got 95"),
        (("roc_auc", [[2.0]], [[1.0]]), {}, "task 0 has the label 2"),
    ],
)
def test_bad_arguments(
    arguments: tuple[str, list[list[float]], list[list[float]]], options: dict[str, int], words: str
) -> None:
    with pytest.raises(MoleblendError) as error:
        interval(*arguments, **options)
    assert words in str(error.value)
