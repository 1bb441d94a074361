"""Ranks, quantiles and p-values: by hand, by their guarantee, and against other libraries where installed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trust.conformal import conformal_quantile, conformal_rank, p_values, rows_needed

NAN = float("nan")


@pytest.mark.parametrize(
    ("n", "level", "rank"),
    [(9, 0.9, 9), (8, 0.9, 9), (19, 0.95, 19), (18, 0.95, 19), (20, 0.95, 20), (99, 0.9, 90), (100, 0.9, 91)],
)
def test_ranks_by_hand(n: int, level: float, rank: int) -> None:
    assert conformal_rank(n, level) == rank


@pytest.mark.parametrize(("level", "rows"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_how_many_are_needed(level: float, rows: int) -> None:
    assert rows_needed(level) == rows
    assert math.isinf(conformal_quantile(np.arange(rows - 1), level))
    assert conformal_quantile(np.arange(rows), level) == rows - 1, "the largest"


def test_every_count_and_level_keeps_the_definition() -> None:
    """n scores suffice exactly if the rank is among them; 10 * 0.9 is no 9.000000000000002."""
    for level in (0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999):
        for n in (*range(1, 130), 999, 1000):
            assert (conformal_rank(n, level) <= n) == (n >= rows_needed(level)), (n, level)


def test_missing_scores_are_left_out() -> None:
    scores = [3.0, NAN, 1.0, 2.0, NAN, 4.0]
    assert conformal_quantile(scores, 0.8) == 4, "ceil(5 * 0.8) = 4 of four scores"
    assert conformal_quantile(scores, 0.5) == 3
    assert math.isinf(conformal_quantile([NAN] * 50, 0.9))


@pytest.mark.parametrize("level", [0, 1, -0.1, 90, NAN])
def test_a_level_is_between_0_and_1(level: float) -> None:
    with pytest.raises(MoleblendError, match="give a number between 0 and 1, such as 0.9"):
        conformal_quantile([1.0], level)


@pytest.mark.parametrize(("n", "level"), [(19, 0.95), (50, 0.9), (200, 0.8)])
def test_exchangeable_scores_are_covered(n: int, level: float) -> None:
    """Between the level and the level + 1 / (n + 1), but for four standard errors of 4,000 repetitions."""
    scores = np.random.default_rng(0).gamma(0.5, size=(4000, n + 1))
    covered = np.mean([row[-1] <= conformal_quantile(row[:-1], level) for row in scores])
    error = 4 * math.sqrt(level * (1 - level) / 4000)
    assert level - error <= covered <= level + 1 / (n + 1) + error


def test_p_values_by_hand() -> None:
    found = p_values([1.0, 2.0, 2.0, NAN, 5.0], [0.0, 2.0, 3.0, 9.0, NAN])
    np.testing.assert_allclose(found, [5 / 5, 4 / 5, 2 / 5, 1 / 5, NAN])


def test_a_p_value_is_small_as_seldom_as_it_says() -> None:
    scores = np.random.default_rng(1).normal(size=(4000, 40))
    p = np.array([p_values(row[:-1], row[-1:])[0] for row in scores])
    for alpha in (0.05, 0.1, 0.5):
        assert np.mean(p <= alpha) <= alpha + 4 * math.sqrt(alpha * (1 - alpha) / 4000)


def test_crepes_gives_the_same_intervals() -> None:
    crepes = pytest.importorskip("crepes", reason="compares with crepes where it is installed")
    random = np.random.default_rng(2)
    for n, level in ((19, 0.95), (57, 0.9), (100, 0.8)):
        residuals = random.normal(size=n)
        theirs = crepes.ConformalRegressor().fit(residuals).predict_int(np.zeros(1), confidence=level)
        ours = conformal_quantile(np.abs(residuals), level)
        np.testing.assert_allclose(np.ravel(theirs), [-ours, ours])


def test_mapie_gives_the_same_intervals() -> None:
    pytest.importorskip("mapie", reason="compares with MAPIE where it is installed")
    from mapie.regression import SplitConformalRegressor
    from sklearn.dummy import DummyRegressor

    random = np.random.default_rng(3)
    for n, level in ((57, 0.9), (100, 0.8)):
        y = random.normal(size=n)
        model = DummyRegressor(strategy="constant", constant=0.0).fit(np.zeros((2, 1)), [0.0, 0.0])
        theirs = SplitConformalRegressor(model, confidence_level=level, prefit=True)
        _, bounds = theirs.conformalize(np.zeros((n, 1)), y).predict_interval(np.zeros((1, 1)))
        ours = conformal_quantile(np.abs(y), level)
        np.testing.assert_allclose(np.ravel(bounds), [-ours, ours])
