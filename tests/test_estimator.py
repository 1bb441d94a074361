"""The Python door keeps scikit-learn's contract."""

from __future__ import annotations

import logging
import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from rdkit import Chem
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

from moleblend_plugin import MoleblendClassifier, MoleblendEmbedder, MoleblendRegressor
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.predictor import Predictor
from tests.checkpoints import property_checkpoint

SMILES = ["C" * n + end for n in range(1, 11) for end in ("O", "N")]
HEAVY = np.array([len(smiles) for smiles in SMILES], float)
HAS_N = np.array([smiles.endswith("N") for smiles in SMILES])
QUICK = {"checkpoint": None, "input_mode": "2d", "epochs": 1, "batch_size": 10, "device": "cpu"}


@pytest.fixture(scope="module")
def regressor() -> MoleblendRegressor:
    return MoleblendRegressor(**QUICK).fit(SMILES, HEAVY)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt"))


def test_it_learns_what_can_be_learnt() -> None:
    """Size and element from the graph alone, on the molecules it saw."""
    settings = QUICK | {"epochs": 20, "learning_rate": 3e-3, "validation_fraction": 0, "dropout": 0.0}
    model = MoleblendRegressor(**settings).fit(SMILES, np.stack([HEAVY, HAS_N], 1))
    assert model.score(SMILES, np.stack([HEAVY, HAS_N], 1)) > 0.7
    predicted = model.predict(SMILES)
    assert predicted.shape == (20, 2)
    assert abs(predicted[:, 0].mean() - HEAVY.mean()) < 1.5


def test_what_is_left_open_is_chosen_as_by_fit(regressor: MoleblendRegressor) -> None:
    """And the parameter stays as it was given, as scikit-learn asks."""
    assert (regressor.readout, regressor.molecule_featurizers) == ("auto", "auto")
    args = regressor._network().args
    assert (args.readout, args.molecule_featurizers) == ("mean", "descriptors")
    said = MoleblendClassifier(**QUICK | {"batch_size": "auto"}, molecule_featurizers="none")
    args = said.fit(SMILES, HAS_N)._network().args
    assert (args.readout, args.molecule_featurizers, args.batch_size) == ("cls", "none", 16)


def test_equal_seeds_give_equal_fits(regressor: MoleblendRegressor) -> None:
    again = clone(regressor).fit(SMILES, HEAVY)
    np.testing.assert_array_equal(again.predict(SMILES), regressor.predict(SMILES))
    other = clone(regressor).set_params(random_state=1).fit(SMILES, HEAVY)
    assert np.abs(other.predict(SMILES) - regressor.predict(SMILES)).max() > 1e-4


@pytest.mark.parametrize("hold", [list, np.array, lambda x: np.array(x, object)[:, None]])
def test_molecules_come_in_any_box(regressor: MoleblendRegressor, hold: Callable[..., Any] | type) -> None:
    expected = regressor.predict(SMILES)
    np.testing.assert_array_equal(regressor.predict(hold(SMILES)), expected)


def test_molecules_may_be_rdkit_s(regressor: MoleblendRegressor) -> None:
    mols = [Chem.MolFromSmiles(smiles) for smiles in SMILES]
    np.testing.assert_allclose(regressor.predict(mols), regressor.predict(SMILES), rtol=1e-5)


def test_a_fitted_estimator_survives_pickling_and_saving(
    regressor: MoleblendRegressor, tmp_path: Path
) -> None:
    expected = regressor.predict(SMILES)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(SMILES), expected)
    regressor.save(tmp_path / "model.pt")
    predictor = Predictor.from_checkpoint(tmp_path / "model.pt", device="cpu")
    assert (predictor.target_names, predictor.kind, predictor.input_mode) == (("y",), "regression", "2d")
    continued = MoleblendRegressor(**QUICK | {"checkpoint": tmp_path / "model.pt"}).fit(SMILES, HEAVY)
    assert continued.started_from_ == str(tmp_path / "model.pt")
    assert np.abs(continued.predict(SMILES) - expected).max() > 0


def draw_after_seeding(
    between: Callable[..., Any] = lambda: None, expected: tuple[float, float, float] | None = None
) -> tuple[float, float, float]:
    """One number of each global generator, drawn after ``between``."""
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002  the global generator is what the test is about
    torch.manual_seed(1)
    between()
    drawn = random.random(), np.random.random(), float(torch.rand(1))  # noqa: NPY002
    assert expected in (None, drawn)
    return drawn


def test_fitting_leaves_the_process_as_it_was(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generators, loggers and standard output belong to the caller, also where a run has left a handler."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers, logging.StreamHandler(sys.stdout)])
    monkeypatch.setattr(root, "level", logging.INFO)
    before = list(root.handlers), root.level
    expected = draw_after_seeding()
    fitted = MoleblendRegressor(**QUICK)
    draw_after_seeding(lambda: fitted.fit(SMILES, HEAVY), expected)
    draw_after_seeding(lambda: fitted.predict(SMILES[:1]), expected)
    assert (list(root.handlers), root.level) == before
    assert capfd.readouterr().out == ""


def test_a_thread_may_fit(regressor: MoleblendRegressor) -> None:
    made = []
    thread = threading.Thread(target=lambda: made.append(clone(regressor).fit(SMILES, HEAVY)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(made[0].predict(SMILES), regressor.predict(SMILES))


def test_two_classes_of_strings() -> None:
    y = np.where(HAS_N, "amine", "alcohol")
    model = MoleblendClassifier(**QUICK).fit(SMILES, y)
    assert model.classes_.tolist() == ["alcohol", "amine"]
    proba = model.predict_proba(SMILES)
    np.testing.assert_allclose(proba.sum(1), 1)
    assert model.predict(SMILES).tolist() == [["alcohol", "amine"][int(p > 0.5)] for p in proba[:, 1]]
    assert model.score(SMILES, y) == np.mean(model.predict(SMILES) == y)
    np.testing.assert_allclose(model.decision_function(SMILES), np.log(proba[:, 1] / proba[:, 0]), rtol=1e-6)


def test_several_targets_with_missing_labels() -> None:
    y = np.stack([HAS_N, HEAVY > 6], 1).astype(float)
    y[::3, 0] = np.nan
    model = MoleblendClassifier(**QUICK).fit(SMILES, y)
    assert model.predict_proba(SMILES).shape == (20, 2)
    predicted = model.predict(SMILES)
    assert set(np.unique(predicted)) <= {0, 1}
    right = [predicted[known, task] == y[known, task] for task in (0, 1) for known in [~np.isnan(y[:, task])]]
    assert model.score(SMILES, y) == pytest.approx(np.mean([part.mean() for part in right]))


def test_missing_numbers_are_left_out_of_fit_and_score() -> None:
    y = HEAVY.copy()
    y[:5] = np.nan
    model = MoleblendRegressor(**QUICK).fit(SMILES, y)
    assert model.score(SMILES, y) == pytest.approx(model.score(SMILES[5:], y[5:]))


def test_molecules_that_are_none(regressor: MoleblendRegressor) -> None:
    bad = ["CCO", "bad(", "", "CC"]
    words = r"2 of 4 molecules cannot be used \(X\[1\] 'bad\(': SMILES syntax; X\[2\] '': empty SMILES\)"
    with pytest.raises(ValueError, match=words):
        regressor.predict(bad)
    with pytest.raises(ValueError, match=words):
        MoleblendRegressor(**QUICK).fit(bad, [1, 2, 3, 4])
    lenient = pickle.loads(pickle.dumps(regressor)).set_params(on_error="nan")
    assert np.isnan(lenient.predict(bad)).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("kind", "X", "y", "words"),
    [
        (MoleblendRegressor, "CCO", [1.0], "Expected a list of SMILES or RDKit molecules, got str"),
        (MoleblendRegressor, [], [], "Found an array with 0 sample"),
        (MoleblendRegressor, SMILES, HEAVY[:3], "inconsistent numbers of samples"),
        (MoleblendRegressor, SMILES, HEAVY * np.nan, "y has no label at all for y"),
        (MoleblendRegressor, SMILES, HEAVY * np.inf, "y contains infinity"),
        (MoleblendRegressor, SMILES, HEAVY * 1e39, r"y\[0\] = [0-9.]*e\+39 is beyond float32"),
        (MoleblendRegressor, SMILES, None, "requires y to be passed"),
        (MoleblendRegressor, ["C"], [1.0], "n_samples=1 leaves nothing to train on"),
        (MoleblendRegressor, [1, 2], [1.0, 2.0], "neither SMILES nor RDKit molecule: int"),
        (MoleblendClassifier, SMILES, np.ones(20), "y has 1 class, where two or more are needed"),
        (MoleblendClassifier, SMILES, HEAVY + 0.5, "Unknown label type: continuous"),
        (MoleblendClassifier, SMILES, np.stack([HEAVY, HEAVY], 1), "Unknown label type"),
    ],
)
def test_what_cannot_be_fitted_is_a_value_error(
    kind: type, X: list[int | str] | str, y: list[float] | npt.NDArray[np.float64] | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        kind(**QUICK).fit(X, y)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arch": "huge"}, "arch='huge' is unknown; choose from tiny, small, base"),
        ({"input_mode": "4d"}, "input_mode='4d' is unknown"),
        ({"epochs": 0}, "epochs=0: give 1 or more"),
        ({"learning_rate": 0}, "learning_rate=0: give more than 0"),
        ({"checkpoint": "gone.pt"}, "'gone.pt' does not exist"),
    ],
)
def test_an_impossible_setting_is_one_line(options: dict[str, int | str], words: str) -> None:
    with pytest.raises(MoleblendError, match=words):
        MoleblendRegressor(**QUICK | options).fit(SMILES, HEAVY)


def test_it_goes_through_cross_validation_and_grids() -> None:
    model = MoleblendRegressor(**QUICK, validation_fraction=0)
    assert np.isfinite(cross_val_score(model, SMILES, HEAVY, cv=2)).all()
    grid = GridSearchCV(model, {"learning_rate": [1e-3, 1e-4]}, cv=2).fit(SMILES, HEAVY)
    assert grid.best_params_["learning_rate"] in (1e-3, 1e-4)
    assert grid.predict(SMILES[:3]).shape == (3,)


def test_embeddings_are_features_of_a_pipeline(checkpoint: str) -> None:
    embedder = MoleblendEmbedder(checkpoint, device="cpu")
    names = embedder.get_feature_names_out()
    vectors = embedder.transform(SMILES)
    assert (vectors.shape, vectors.dtype, len(names)) == ((20, 128), np.float32, 128)
    assert names[:2].tolist() == ["moleblend_graph_0", "moleblend_graph_1"]
    model = make_pipeline(embedder, Ridge(1e-6)).fit(SMILES, HEAVY)
    assert model.score(SMILES, HEAVY) > 0.8
    lenient = MoleblendEmbedder(checkpoint, what="mean", device="cpu", on_error="nan")
    vectors = pickle.loads(pickle.dumps(lenient)).transform(["C", "bad("])
    assert np.isnan(vectors).all(1).tolist() == [False, True]
    with pytest.raises(ValueError, match="checkpoint=None: name a checkpoint"):
        MoleblendEmbedder(None).transform(SMILES)


def as_smiles(
    estimator: ClassifierOnNumbers | RegressorOnNumbers, X: np.memmap | npt.NDArray[np.float64], reset: bool
) -> list[str]:
    """Rows of numbers as chains: what scikit-learn's checks make becomes what these estimators take."""
    rows = validate_data(estimator, X, reset=reset)
    return ["C" * (1 + int(abs(row.sum()) * 10) % 12) for row in rows]


class OnNumbers:
    """The estimators behind a translation from numbers, so that scikit-learn's checks can call them."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = True, False, False
        return tags

    def fit(self, X: Any, y: Any) -> Any:
        smiles = as_smiles(self, X, reset=True)
        return super().fit(smiles, y)

    def _raw(self, X: Any) -> Any:
        check_is_fitted(self)
        return super()._raw(as_smiles(self, X, reset=False))


class RegressorOnNumbers(OnNumbers, MoleblendRegressor):
    pass


class ClassifierOnNumbers(OnNumbers, MoleblendClassifier):
    pass


@pytest.mark.parametrize("kind", [RegressorOnNumbers, ClassifierOnNumbers])
def test_scikit_learn_s_checks_of_its_interface(kind: type) -> None:
    """All API checks. Not its legacy ones: they ask about matrices (sparse, dtypes, column order, scores on
    numbers), none of which a list of molecules has."""
    results = check_estimator(kind(**QUICK, validation_fraction=0), legacy=False, on_skip=None, on_fail=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}
    assert len(results) > 10


def test_text_estimators_are_told_as_such() -> None:
    """scikit-learn's own tool sees that they want text, and checks that they can be cloned."""
    with pytest.warns(Warning, match="Can't test estimator MoleblendRegressor which requires input"):
        results = check_estimator(MoleblendRegressor(), on_skip=None)
    assert {result["status"] for result in results} == {"passed"}


def test_the_package_stays_light_until_an_estimator_is_named() -> None:
    code = (
        "import sys, moleblend_plugin as m; assert 'torch' not in sys.modules; "
        "m.MoleblendRegressor; assert 'sklearn' in sys.modules; "
        "print(hasattr(m, 'MoleblendRegresor'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
