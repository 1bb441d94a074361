"""Forests as arrays predict what scikit-learn's forests predict, to the last bit, and run nothing."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from moleblend_plugin.ensembles.forest_arrays import LEAF, ForestArrays, pack, unpack
from moleblend_plugin.errors import MoleblendError

RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(size=(300, 20)) * np.logspace(-30, 30, 20)
NUMBERS[RANDOM.random(NUMBERS.shape) < 0.05] = np.nan
NUMBERS[:, 7] = np.nan
COUNTS = RANDOM.poisson(0.3, (300, 50)).astype(np.uint16)
VALUES = RANDOM.normal(size=300).round(2)
CLASSES = (VALUES > 0.5).astype(float)
SIZE: dict[str, Any] = {"n_estimators": 20, "random_state": 0}


def forest(name: str) -> tuple[Any, Any, Any]:
    """A fitted model, features, and what it predicts."""
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    if name == "values of descriptors":
        model = make_pipeline(impute, RandomForestRegressor(**SIZE)).fit(NUMBERS, VALUES)
        return model, NUMBERS, model.predict(NUMBERS)
    if name == "classes of counts":
        model = RandomForestClassifier(class_weight="balanced_subsample", **SIZE).fit(COUNTS, CLASSES)
        return model, COUNTS, model.predict_proba(COUNTS)[:, 1]
    if name == "classes, wide leaves":
        model = RandomForestClassifier(min_samples_leaf=9, **SIZE).fit(
            COUNTS, CLASSES, np.linspace(0, 2, 300)
        )
        return model, COUNTS, model.predict_proba(COUNTS)[:, 1]
    model = RandomForestRegressor(max_depth=1, **SIZE).fit(np.zeros((300, 3)), VALUES)  # leaves alone
    return model, np.zeros((5, 3)), model.predict(np.zeros((5, 3)))


NAMES = ("values of descriptors", "classes of counts", "classes, wide leaves", "nothing to split")


@pytest.mark.parametrize("name", NAMES)
def test_predictions_equal_scikit_learn_s_to_the_last_bit(name: str) -> None:
    model, features, expected = forest(name)
    made = unpack(pack([ForestArrays.of(model)]), 1)[0]
    np.testing.assert_array_equal(made.predict(features), expected)
    np.testing.assert_array_equal(made.predict(features[:1]), expected[:1])
    assert made.predict(features[:0]).shape == (0,)


def test_features_at_thresholds_go_the_same_way() -> None:
    """Thresholds are float64, features float32: those next to a threshold are where rounding could show."""
    random = np.random.default_rng(1)
    features = random.random((400, 2)).astype(np.float32)
    model = RandomForestRegressor(**SIZE).fit(features, random.random(400))
    tree = model.estimators_[0].tree_
    near = tree.threshold[tree.feature == 0].astype(np.float32)
    probes = np.concatenate([near, np.nextafter(near, np.float32(2)), np.nextafter(near, np.float32(-2))])
    rows = np.stack([probes, np.full(len(probes), 0.5, np.float32)], 1)
    np.testing.assert_array_equal(ForestArrays.of(model).predict(rows), model.predict(rows))


def test_the_file_is_small() -> None:
    """300 molecules, 20 trees: a few bytes per node, a tenth of a pickle."""
    model, _, _ = forest("values of descriptors")
    packed = pack([ForestArrays.of(model)])
    assert len(packed) < 0.15 * len(pickle.dumps(model))


def test_several_forests_come_back_in_order() -> None:
    made = [ForestArrays.of(forest(name)[0]) for name in NAMES]
    assert [one.features for one in unpack(pack(made), 4)] == [20, 50, 50, 3]
    assert unpack(pack([]), 0) == []


def test_a_forest_of_another_kind_is_refused() -> None:
    three = RandomForestClassifier(**SIZE).fit(COUNTS, np.arange(300) % 3)
    two = RandomForestRegressor(**SIZE).fit(COUNTS, np.stack([VALUES, VALUES], 1))
    best_first = RandomForestRegressor(max_leaf_nodes=40, **SIZE).fit(COUNTS, VALUES)
    for model, words in ((three, "one target"), (two, "one target"), (best_first, "depth-first order")):
        with pytest.raises(MoleblendError, match=words):
            ForestArrays.of(model)


def test_another_number_of_features_is_refused() -> None:
    made = ForestArrays.of(forest("classes of counts")[0])
    with pytest.raises(MoleblendError, match="takes 50 features, not an array of"):
        made.predict(NUMBERS)


def test_damaged_forests_are_refused_and_run_nothing() -> None:
    made = ForestArrays.of(forest("classes of counts")[0])
    good = pack([made])
    with pytest.raises(MoleblendError, match="a saved forest is damaged"):
        unpack(good[: len(good) // 2], 1)
    with pytest.raises(MoleblendError, match="a saved forest is damaged"):
        unpack(good, 2)
    with pytest.raises(MoleblendError, match="a saved forest is damaged"):
        unpack(pickle.dumps({"0_features": 1}), 1)
    feature = made.feature.copy()
    feature[feature != LEAF] = 51
    for changes in (
        {"right": np.zeros_like(made.right)},  # a walk without end
        {"right": np.full_like(made.right, 10**6)},  # out of the forest
        {"feature": feature},
        {"value": np.full_like(made.value, 10**6)},
        {"sizes": made.sizes[:-1]},
        {"medians": np.zeros(3, np.float32)},
        {"threshold": made.threshold.astype(np.float64)},
    ):
        with pytest.raises(MoleblendError, match="no sound trees"):
            unpack(pack([replace(made, **changes)]), 1)
