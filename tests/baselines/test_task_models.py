"""The baselines are scikit-learn's own estimators, one per task on its labelled molecules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from moleblend_plugin.baselines.features import FEATURES, molecule_features
from moleblend_plugin.baselines.kinds import BASELINES, FEATURE_NAMES, LEARNER_NUMBERS
from moleblend_plugin.baselines.learners import LEARNERS
from moleblend_plugin.baselines.task_models import TaskModels, fit_learner, fit_tasks

RNG = np.random.default_rng(0)
TRAIN, OTHER = RNG.integers(0, 2, (60, 20)).astype(np.uint8), RNG.integers(0, 2, (15, 20)).astype(np.uint8)
NUMBERS = {"n_estimators": 10}


def names_of(targets: np.ndarray) -> list[str]:
    return [f"t{task}" for task in range(targets.shape[1])]


def fitted(
    kind: str, targets: np.ndarray, classify: bool, numbers: dict[str, Any], features: np.ndarray = TRAIN
) -> TaskModels:
    return fit_tasks(kind, classify, 7, features, targets, names_of(targets), numbers)


def test_a_forest_of_classes_ignores_missing_labels() -> None:
    targets = RNG.integers(0, 2, (60, 2)).astype(float)
    targets[::3, 1] = np.nan
    found = fitted("ecfp4-rf", targets, True, NUMBERS)
    for task in range(2):
        known = ~np.isnan(targets[:, task])
        forest = RandomForestClassifier(10, random_state=7, class_weight="balanced_subsample")
        forest.fit(TRAIN[known], targets[known, task])
        assert found.predict(OTHER)[:, task].tolist() == forest.predict_proba(OTHER)[:, 1].tolist()
    assert found.constant == ()


def test_regressors_are_scikit_learns() -> None:
    targets = RNG.normal(size=(60, 1))
    forest = RandomForestRegressor(300, random_state=7).fit(TRAIN, targets[:, 0])
    boosted = HistGradientBoostingRegressor(max_iter=5, random_state=7, early_stopping=False)
    boosted.fit(TRAIN, targets[:, 0])
    for kind, numbers, by_hand in (("ecfp4-rf", {}, forest), ("ecfp4-gb", {"max_iter": 5}, boosted)):
        found = fitted(kind, targets, False, numbers).predict(OTHER)
        assert found[:, 0].tolist() == by_hand.predict(OTHER).tolist()


def test_missing_descriptors_take_the_median_of_training() -> None:
    """As with the medians written in by hand; a column without any value does no harm."""
    features, others = RNG.normal(size=(60, 4)), RNG.normal(size=(15, 4))
    features[:, 3] = np.nan
    features[::4, 0] = np.nan
    others[:5, 0] = np.nan
    targets = RNG.normal(size=(60, 1))
    middle = np.nanmedian(features[:, 0])
    by_hand = [np.where(np.isnan(part), [middle, 0, 0, 0], part) for part in (features, others)]
    left = fitted("descriptors-rf", targets, False, NUMBERS, features)
    right = fitted("ecfp4-rf", targets, False, NUMBERS, by_hand[0])
    assert left.predict(others).tolist() == right.predict(by_hand[1]).tolist()


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_task_of_one_class_is_that_class_and_is_named(label: float) -> None:
    targets = np.stack([np.full(60, label), np.tile([0.0, 1.0], 30), np.full(60, np.nan)], axis=1)
    found = fitted("ecfp4-rf", targets, True, NUMBERS)
    assert found.constant == ("t0", "t2")
    predictions = found.predict(OTHER)
    assert (predictions[:, 0] == label).all()
    assert len(set(predictions[:, 1])) > 1


def test_every_baseline_is_made_of_what_is_there() -> None:
    assert tuple(FEATURES) == FEATURE_NAMES
    assert LEARNER_NUMBERS.keys() == LEARNERS.keys()
    for kind, made in BASELINES.items():
        assert set(made.features) <= FEATURES.keys()
        assert kind == "-".join([*made.features, made.learner])


def test_features_stand_side_by_side() -> None:
    smiles = ["CCO", "c1ccccc1O", "not a molecule"]
    both = molecule_features(BASELINES["descriptors-ecfp4-counts-rf"].features, smiles)
    numbers, counts = (molecule_features([name], smiles) for name in ("descriptors", "ecfp4-counts"))
    assert both.values.dtype == np.float32
    assert both.values[:2].tolist() == [
        [*left, *right]
        for left, right in zip(
            numbers.values[:2].astype(np.float32).tolist(), counts.values[:2].tolist(), strict=True
        )
    ]
    assert both.names == numbers.names
    assert both.reasons == {2: "RDKit cannot read 'not a molecule'"}


@pytest.mark.parametrize("learner", ["ridge", "knn"])
@pytest.mark.parametrize("classify", [False, True])
def test_heads_learn_and_choose_their_number_on_training(learner: str, classify: bool) -> None:
    """A column of another scale and one of NaN do no harm; the choice is one of several."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(120, 5)).astype(np.float32)
    values = features[:, 0] + 0.1 * rng.normal(size=120)
    features[:, 1] *= 1e30
    features[::7, 2] = np.nan
    targets = (values > 0).astype(float)[:, None] if classify else values[:, None]
    model = fit_learner(learner, classify, 0, features[:80], targets[:80], ["t"], missing=True)
    predictions = model.predict(features[80:])[:, 0]
    assert np.isfinite(predictions).all()
    assert np.corrcoef(predictions, values[80:])[0, 1] > 0.6
    assert len(model.models[0].cv_results_["params"]) > 3


@pytest.mark.parametrize("learner", ["ridge", "knn"])
def test_a_class_of_one_molecule_is_learnt_without_folds(learner: str) -> None:
    targets = np.zeros((60, 1))
    targets[3] = 1.0
    found = fit_learner(learner, True, 0, TRAIN, targets, ["t"]).predict(OTHER)
    assert ((found >= 0) & (found <= 1)).all()
