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

from moleblend_plugin.bench.run.baselines import fit_predict

RNG = np.random.default_rng(0)
TRAIN, OTHER = RNG.integers(0, 2, (60, 20)).astype(np.uint8), RNG.integers(0, 2, (15, 20)).astype(np.uint8)
NUMBERS = {"n_estimators": 10}


def fitted(kind: str, targets: np.ndarray, classify: bool, numbers: dict[str, Any], **given: Any) -> Any:
    names = [f"t{task}" for task in range(targets.shape[1])]
    features, others = given.get("features", TRAIN), given.get("others", OTHER)
    return fit_predict(kind, classify, 7, numbers, features, targets, names, [others])


def test_a_forest_of_classes_ignores_missing_labels() -> None:
    targets = RNG.integers(0, 2, (60, 2)).astype(float)
    targets[::3, 1] = np.nan
    found = fitted("ecfp4-rf", targets, True, NUMBERS)
    for task in range(2):
        known = ~np.isnan(targets[:, task])
        forest = RandomForestClassifier(10, random_state=7, class_weight="balanced_subsample")
        forest.fit(TRAIN[known], targets[known, task])
        assert found.predictions[0][:, task].tolist() == forest.predict_proba(OTHER)[:, 1].tolist()
    assert found.constant == ()


def test_regressors_are_scikit_learns() -> None:
    targets = RNG.normal(size=(60, 1))
    forest = RandomForestRegressor(300, random_state=7).fit(TRAIN, targets[:, 0])
    boosted = HistGradientBoostingRegressor(max_iter=5, random_state=7, early_stopping=False)
    boosted.fit(TRAIN, targets[:, 0])
    assert (
        fitted("ecfp4-rf", targets, False, {}).predictions[0][:, 0].tolist() == forest.predict(OTHER).tolist()
    )
    assert (
        fitted("ecfp4-gb", targets, False, {"max_iter": 5}).predictions[0][:, 0].tolist()
        == boosted.predict(OTHER).tolist()
    )


def test_missing_descriptors_take_the_median_of_training() -> None:
    """As with the medians written in by hand; a column without any value does no harm."""
    features, others = RNG.normal(size=(60, 4)), RNG.normal(size=(15, 4))
    features[:, 3] = np.nan
    features[::4, 0] = np.nan
    others[:5, 0] = np.nan
    targets = RNG.normal(size=(60, 1))
    middle = np.nanmedian(features[:, 0])
    by_hand = [np.where(np.isnan(part), [middle, 0, 0, 0], part) for part in (features, others)]
    left = fitted("descriptors-rf", targets, False, NUMBERS, features=features, others=others)
    right = fitted("ecfp4-rf", targets, False, NUMBERS, features=by_hand[0], others=by_hand[1])
    assert left.predictions[0].tolist() == right.predictions[0].tolist()


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_task_of_one_class_is_that_class_and_is_named(label: float) -> None:
    targets = np.stack([np.full(60, label), np.tile([0.0, 1.0], 30), np.full(60, np.nan)], axis=1)
    found = fitted("ecfp4-rf", targets, True, NUMBERS)
    assert found.constant == ("t0", "t2")
    assert (found.predictions[0][:, 0] == label).all()
    assert len(set(found.predictions[0][:, 1])) > 1
