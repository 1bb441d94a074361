"""Platt's scaling and the calibration error: by hand, against scikit-learn, and on known probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from moleblend_plugin.trust.calibration import (
    Platt,
    expected_calibration_error,
    fit_platt,
    log_odds,
    sigmoid,
)

NAN = float("nan")


def labelled(n: int = 3000, sureness: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """What an overconfident model says, its log-odds ``sureness`` times the true ones, and labels."""
    random = np.random.default_rng(0)
    truth = random.normal(size=n)
    return sigmoid(sureness * truth), (random.random(n) < sigmoid(truth)).astype(float)


def test_an_overconfident_model_is_toned_down() -> None:
    p, y = labelled()
    found = fit_platt(p, y)
    assert found.slope == pytest.approx(1 / 3, abs=0.04)
    assert found.offset == pytest.approx(0, abs=0.1)
    new, labels = labelled(3000)
    before, after = expected_calibration_error(new, labels), expected_calibration_error(found(new), labels)
    assert before > 0.1
    assert after < 0.04


def test_it_is_logistic_regression_on_platts_targets() -> None:
    """scikit-learn's, without a penalty, on every molecule twice: as both classes, weighed by its target."""
    p, y = labelled(80, 2.0)
    ones = y.sum()
    targets = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (80 - ones + 2))
    model = LogisticRegression(C=1e10, tol=1e-10, max_iter=10_000)
    odds = log_odds(p)[:, None]
    model.fit(
        np.concatenate((odds, odds)),
        np.repeat([1, 0], 80),
        sample_weight=np.concatenate((targets, 1 - targets)),
    )
    found = fit_platt(p, y)
    assert found.slope == pytest.approx(model.coef_[0, 0], rel=1e-4)
    assert found.offset == pytest.approx(model.intercept_[0], rel=1e-3, abs=1e-4)


def test_without_error_nothing_becomes_certain() -> None:
    """Twenty molecules told apart: Platt's targets are 11/12 and 1/12, and so are the probabilities."""
    p = np.repeat([1e-9, 1.0], 10)
    y = np.repeat([0.0, 1.0], 10)
    np.testing.assert_allclose(fit_platt(p, y)([0.0, 1.0]), [1 / 12, 11 / 12], rtol=1e-6)


def test_few_molecules_of_a_class_change_nothing() -> None:
    p, y = labelled(100)
    y[y == 1] = NAN
    y[:9] = 1
    assert fit_platt(p, y) == Platt(1.0, 0.0)
    assert Platt()([0.2, NAN]).tolist()[0] == 0.2
    assert fit_platt([], []) == Platt()


def test_the_order_is_never_turned_around() -> None:
    p, y = labelled(200)
    found = fit_platt(p, 1 - y)
    assert found.slope == 0
    ones = (1 - y).sum()
    assert found([0.1, 0.9])[0] == found([0.1, 0.9])[1] == pytest.approx(ones / 200, abs=0.01)


def test_missing_ones_are_left_out() -> None:
    p, y = labelled(100)
    more_p, more_y = np.append(p, [NAN, 0.5]), np.append(y, [1.0, NAN])
    assert fit_platt(more_p, more_y) == fit_platt(p, y)
    assert expected_calibration_error(more_p, more_y) == expected_calibration_error(p, y)


def test_the_calibration_error_by_hand() -> None:
    """Two bins of two: means 0.15 and 0.8, shares 0.5 and 1, so 0.35 and 0.2, each half of the molecules."""
    assert expected_calibration_error([0.9, 0.1, 0.2, 0.7], [1, 1, 0, 1], bins=2) == pytest.approx(0.275)
    assert expected_calibration_error([0.0, 1.0, 1.0], [0, 1, 1]) == 0
    assert np.isnan(expected_calibration_error([0.5], [NAN]))
