"""One column of several classes: a weight per base model, and forests with a probability of each class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss

from moleblend_plugin.baselines.task_models import fit_learner
from moleblend_plugin.ensembles.folds import assign_folds
from moleblend_plugin.ensembles.forest_arrays import ForestArrays, pack, unpack
from moleblend_plugin.ensembles.weights import fit_weights, weighted_mean
from moleblend_plugin.errors import MoleblendError

NAN = float("nan")
RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.random((200, 12)).astype(np.float32)
LABELS = (FEATURES[:, 0] * 3).astype(int).astype(float)


def test_a_forest_s_arrays_predict_what_scikit_learn_does_to_the_last_bit() -> None:
    model = RandomForestClassifier(20, class_weight="balanced_subsample", random_state=0).fit(
        FEATURES, LABELS
    )
    (made,) = unpack(pack([ForestArrays.of(model, 3)]), 1)
    np.testing.assert_array_equal(made.predict(FEATURES), model.predict_proba(FEATURES))
    assert made.predict(FEATURES[:0]).shape == (0, 3)
    with pytest.raises(MoleblendError, match="no sound trees"):
        unpack(pack([replace(made, values=made.values[None])]), 1)


def test_a_class_that_a_forest_never_saw_has_no_probability() -> None:
    some = LABELS != 1
    model = RandomForestClassifier(20, random_state=0).fit(FEATURES[some], LABELS[some])
    found = ForestArrays.of(model, 3).predict(FEATURES)
    np.testing.assert_array_equal(found[:, [0, 2]], model.predict_proba(FEATURES))
    assert not found[:, 1].any()
    models = fit_learner("rf", True, 0, FEATURES[some], LABELS[some, None], ["y"], classes=3)
    assert models.predict(FEATURES).shape == (200, 3)
    assert not models.predict(FEATURES)[:, 1].any()
    one = fit_learner("rf", True, 0, FEATURES[:9], np.full((9, 1), 2.0), ["y"], classes=3)
    assert one.constant == ("y",)
    assert one.predict(FEATURES[:2]).tolist() == [[0, 0, 1]] * 2


def test_the_weights_of_a_mixture_have_the_least_log_loss() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(3, size=3000)
    sure = np.eye(3)[labels]
    guesses = np.stack([rng.dirichlet((1, 1, 1), 3000), rng.dirichlet((1, 1, 1), 3000)])
    good = 0.6 * sure + 0.4 * guesses[0]
    models = np.stack([good, guesses[1], 0.3 * sure + 0.7 * guesses[1]])
    targets = labels[:, None].astype(float)
    targets[::11] = NAN
    weights = fit_weights(models, targets, "multiclass")
    assert weights.shape == (3, 1)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    known = ~np.isnan(targets[:, 0])

    def loss(each: object) -> float:
        return float(log_loss(labels[known], weighted_mean(models, np.reshape(each, (3, 1)))[known]))

    best = loss(weights)
    for other in (
        (1, 0, 0),
        (1 / 3, 1 / 3, 1 / 3),
        (0.5, 0, 0.5),
        *(rng.dirichlet((1, 1, 1)) for _ in range(20)),
    ):
        assert best < loss(other) + 2e-3  # their prior counts three labels
    with pytest.raises(MoleblendError, match="give .K, M, C. and .M, 1."):
        fit_weights(models, labels.astype(float), "multiclass")


def test_folds_hold_each_class_in_proportion_and_a_rare_one_is_no_question() -> None:
    labels = np.array([0] * 30 + [1] * 12 + [2] * 6 + [3], float)[:, None]
    folds = assign_folds(labels, "multiclass", 3, 0)
    counts = [
        np.bincount(labels[folds == fold, 0].astype(int), minlength=4)[:3].tolist() for fold in range(3)
    ]
    assert all(
        abs(count[0] - 10) <= 1 and abs(count[1] - 4) <= 1 and abs(count[2] - 2) <= 1 for count in counts
    )
