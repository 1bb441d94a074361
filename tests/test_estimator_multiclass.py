"""A classifier of more than two classes keeps scikit-learn's contract: alone, as an ensemble, as a stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import accuracy_score, log_loss

from moleblend_plugin import MoleblendClassifier, MoleblendRegressor
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.predictor import Ensemble, Predictor
from tests.small_fits import forests_of

SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "Cl")]
WORDS = np.array(["low", "medium", "high"])[
    [0 if n < 5 else 1 if n < 9 else 2 for n in range(1, 13) for _ in "123"]
]
QUICK: dict[str, Any] = {
    "checkpoint": None,
    "input_mode": "2d",
    "epochs": 2,
    "batch_size": 10,
    "device": "cpu",
}

small_forests = forests_of(60)


@pytest.fixture(scope="module")
def single() -> MoleblendClassifier:
    return MoleblendClassifier(**QUICK, validation_fraction=0.3).fit(SMILES, WORDS)


@pytest.fixture(scope="module")
def stacked() -> MoleblendClassifier:
    model = MoleblendClassifier(**QUICK, ensemble_size=2, stacking=True)
    return model.fit(SMILES, np.where(WORDS == "low", 5, np.where(WORDS == "medium", 7, 11)))


def test_it_learns_what_can_be_learnt() -> None:
    settings = QUICK | {"epochs": 20, "learning_rate": 3e-3, "validation_fraction": 0, "dropout": 0.0}
    model = MoleblendClassifier(**settings).fit(SMILES, WORDS)
    assert model.score(SMILES, WORDS) > 0.8


def test_classes_and_probabilities_are_scikit_learn_s(single: MoleblendClassifier) -> None:
    assert single.classes_.tolist() == ["high", "low", "medium"]
    proba = single.predict_proba(SMILES)
    assert proba.shape == (36, 3)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-6)
    assert single.predict(SMILES).tolist() == single.classes_[proba.argmax(1)].tolist()
    assert single.score(SMILES, WORDS) == pytest.approx(accuracy_score(WORDS, single.predict(SMILES)))
    odds = single.decision_function(SMILES)
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), proba, rtol=1e-6)
    assert Predictor.from_bytes(single.checkpoint_).class_names == ("high", "low", "medium")
    again = clone(single).fit(SMILES, WORDS)
    np.testing.assert_array_equal(again.predict_proba(SMILES), proba)


def test_what_is_no_molecule_gets_none(single: MoleblendClassifier) -> None:
    model = clone(single).set_params(on_error="nan")
    model.__dict__ |= {name: value for name, value in single.__dict__.items() if name.endswith("_")}
    model._two_d = False
    assert model.predict(["CCO", "C1CC"]).tolist()[1] is None
    assert np.isnan(model.predict_proba(["CCO", "C1CC"])[1]).all()


def test_held_out_molecules_calibrate_it(single: MoleblendClassifier) -> None:
    trust = single.trust_
    assert (trust.kind, trust.classes) == ("multiclass", ("high", "low", "medium"))
    assert trust.held_out.predictions.shape == (11, 3)
    sets = single.predict_set(SMILES, 0.9)
    assert sets.shape == (36, 3)
    assert sets.all()  # of 11 molecules, no class has the nine that its exclusion needs
    calibrated = single.predict_calibrated_proba(SMILES)
    np.testing.assert_allclose(calibrated.sum(1), 1, rtol=1e-6)


def test_a_saved_one_comes_back(single: MoleblendClassifier, tmp_path: Path) -> None:
    single.save(tmp_path / "model.pt")
    again = MoleblendClassifier.load(tmp_path / "model.pt", device="cpu")
    assert again.classes_.tolist() == single.classes_.tolist()
    np.testing.assert_array_equal(again.predict_proba(SMILES[:5]), single.predict_proba(SMILES[:5]))
    assert again.trust_.classes == single.trust_.classes
    with pytest.raises(MoleblendError, match="model of multiclass: load it with MoleblendClassifier.load"):
        MoleblendRegressor.load(tmp_path / "model.pt")


def test_a_stack_has_one_weight_for_all_classes(stacked: MoleblendClassifier, tmp_path: Path) -> None:
    assert stacked.classes_.tolist() == [5, 7, 11]
    assert stacked.oof_prediction_.shape == (36, 3)
    np.testing.assert_allclose(stacked.oof_prediction_.sum(1), 1, rtol=1e-6)
    weights = np.stack(list(stacked.stack_weights_.values()))
    assert weights.shape == (4, 1)
    assert weights.sum() == pytest.approx(1)
    proba = stacked.predict_proba(SMILES)
    network = Predictor.from_bytes(stacked.checkpoint_)
    assert isinstance(network, Ensemble)
    assert network.stack is not None
    assert network.class_names == ("5", "7", "11")
    blocks = network.stack.blocks(SMILES)
    records, _ = stacked._molecules(SMILES)
    nets = np.mean([list(one.predict_records(records)) for one in network.networks], axis=0)
    np.testing.assert_allclose(network.stack.combine_features(nets, blocks), proba, rtol=1e-6)
    assert stacked.predict_std(SMILES).shape == (36, 3)
    assert stacked.trust_.held_out.predictions.shape == (36, 3)
    assert log_loss(np.where(WORDS == "low", 5, np.where(WORDS == "medium", 7, 11)), proba.round(9)) < 1.1
    stacked.save(tmp_path / "stack.pt")
    again = MoleblendClassifier.load(tmp_path / "stack.pt", device="cpu")
    np.testing.assert_array_equal(again.predict_proba(SMILES[:7]), stacked.predict_proba(SMILES[:7]))
    assert set(again.predict(SMILES).tolist()) <= {5, 7, 11}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.linspace(0, 1, 36), "continuous"),
        (["a"] * 36, "y has 1 class, where two or more are needed"),
        ([["a", "b"]] * 36, "could not convert|not a number"),
        (np.array([[0, 2]] * 36), "labels of several targets must be 0, 1 or NaN"),
    ],
)
def test_labels_that_are_none_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MoleblendClassifier(**QUICK).fit(SMILES, labels)


def test_a_column_vector_is_taken_with_a_warning() -> None:
    codes = np.arange(36)[:, None] % 3
    with pytest.warns(DataConversionWarning):
        model = MoleblendClassifier(**QUICK | {"epochs": 1}).fit(SMILES, codes)
    assert model.predict(SMILES).shape == (36,)
    assert model.classes_.tolist() == [0, 1, 2]
