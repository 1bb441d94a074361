"""Prediction sets: by hand, never empty, each class covered."""

from __future__ import annotations

import numpy as np

from moleblend_plugin.trust.calibration import sigmoid
from moleblend_plugin.trust.classes import class_p_values, prediction_sets

NAN = float("nan")


def test_p_values_by_hand() -> None:
    """Class 0 was given 0.1 to 0.4, class 1 0.6 and 0.9; a molecule without a label counts for neither."""
    p, y = [0.1, 0.2, 0.4, 0.6, 0.9, 0.5], [0, 0, 0, 1, 1, NAN]
    found = class_p_values(p, y, [0.3, 0.95, 0.0, NAN])
    np.testing.assert_allclose(found, [[2 / 4, 1 / 3], [1 / 4, 3 / 3], [4 / 4, 1 / 3], [NAN, NAN]])


def test_sets_by_hand() -> None:
    p = np.array([[0.5, 0.2], [0.3, 0.05], [0.1, 0.4], [0.1, 0.04], [0.02, 0.03], [NAN, NAN]])
    assert prediction_sets(p, 0.9).tolist() == [
        [True, True],
        [True, False],
        [False, True],  # 0.1 is not more than 1 - 0.9
        [True, False],  # both would be excluded: what is excluded last stays
        [False, True],
        [False, False],  # no prediction, no set
    ]


def test_a_class_of_few_is_in_every_set() -> None:
    """With 8 molecules the smallest p-value is 1 / 9, above 0.1; with 9 it is 0.1."""
    zeros = np.linspace(0.0, 0.2, 50)
    for few, inside in ((8, True), (9, False)):
        p, y = np.append(zeros, np.full(few, 0.9)), np.append(np.zeros(50), np.ones(few))
        assert prediction_sets(class_p_values(p, y, [0.01]), 0.9)[0].tolist() == [True, inside]


def test_each_class_is_covered_also_the_rare_one() -> None:
    random = np.random.default_rng(0)
    hits: list[list[float]] = [[], []]
    for _ in range(150):
        y = (random.random(600) < 0.15).astype(float)
        p = sigmoid(2 * y - 2 + random.normal(size=600))
        inside = prediction_sets(class_p_values(p[:300], y[:300], p[300:]), 0.9)
        assert inside.any(1).all()
        for label in (0, 1):
            hits[label].append(inside[y[300:] == label, label].mean())
    assert np.mean(hits[0]) > 0.895
    assert np.mean(hits[1]) > 0.895
    assert np.mean(hits[0]) < 0.92
