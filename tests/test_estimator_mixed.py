"""Targets of both kinds: estimator, stack, trust, scores, fits and their page."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from moleblend_plugin import MoleblendClassifier, MoleblendMixed, MoleblendRegressor
from moleblend_plugin.cli import main as command
from moleblend_plugin.ensembles.weights import fit_weights
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.explain.explainer import Explainer
from moleblend_plugin.explain.molecules import explain_molecules
from moleblend_plugin.explain.page import Page
from moleblend_plugin.fitting.options import FitOptions, read_options
from moleblend_plugin.fitting.run import fit_table
from moleblend_plugin.fitting.table import read_table
from moleblend_plugin.inference.predictor import Ensemble, Predictor
from moleblend_plugin.networks.resolve import MODEL_FILE
from moleblend_plugin.schema import Rejection
from moleblend_plugin.trust.calibrating import calibrate
from moleblend_plugin.trust.domain import Domain
from moleblend_plugin.trust.file import read_trust, write_trust
from moleblend_plugin.trust.model import HeldOut
from tests.fitting.tables import SMILES, write_table
from tests.small_fits import forests_of, rows_of

NAN = float("nan")
VALUES = [round(100 + 3.0 * len(text), 2) for text in SMILES]
CLASSES: list[float] = [float(text.endswith("N") or text.endswith("O")) for text in SMILES]
CLASSES[::9] = [NAN] * len(CLASSES[::9])
QUICK: dict[str, Any] = {
    "checkpoint": None,
    "input_mode": "2d",
    "epochs": 2,
    "batch_size": 8,
    "device": "cpu",
    "ensemble_size": 2,
}


class Labels:
    """Two columns with names, as a frame has them."""

    columns = ("logS", "toxic")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array([VALUES, CLASSES], dtype).T


small_forests = forests_of(60)


@pytest.fixture(scope="module")
def stack() -> MoleblendMixed:
    return MoleblendMixed(**QUICK, stacking=True, class_columns="toxic").fit(list(SMILES), Labels())


def test_predictions_and_trust_are_of_each_kind(stack: MoleblendMixed) -> None:
    assert stack.target_names_ == ("logS", "toxic")
    predicted = stack.predict(SMILES[:8])
    assert predicted.shape == (8, 2)
    assert ((predicted[:, 1] >= 0) & (predicted[:, 1] <= 1)).all()
    assert (predicted[:, 0] > 90).all()
    out = stack.oof_prediction_
    known = ~np.isnan(CLASSES)
    assert np.corrcoef(out[:, 0], VALUES)[0, 1] > 0.9  # forests know the number of atoms
    assert np.mean((out[known, 1] > 0.5) == np.array(CLASSES)[known]) > 0.8
    bounds = stack.predict_interval(SMILES[:8])
    assert np.isnan(bounds[:, 1]).all()
    assert (bounds[:, 0, 0] < predicted[:, 0]).all()
    assert (predicted[:, 0] < bounds[:, 0, 1]).all()
    calibrated = stack.predict_calibrated_proba(SMILES[:8])
    assert np.isnan(calibrated[:, 0]).all()
    assert ((calibrated[:, 1] > 0) & (calibrated[:, 1] < 1)).all()
    sets = stack.predict_set(SMILES[:8])
    assert not sets[:, 0].any()
    assert sets[:, 1].any(1).all()
    summary = stack.trust_.summary()["targets"]
    assert set(summary["logS"]) == {"molecules", "half_width"}
    assert set(summary["toxic"]) >= {"calibration_error", "slope"}
    assert stack.score(SMILES, np.array([VALUES, CLASSES]).T) > 0.5


def test_weights_of_a_stack_are_fitted_by_kind(stack: MoleblendMixed) -> None:
    network = stack._network()
    assert isinstance(network, Ensemble)
    assert network.stack is not None
    assert network.kinds == ("regression", "classification")
    rng = np.random.default_rng(0)
    labels = np.stack([rng.normal(size=60), rng.integers(0, 2, 60)], 1)
    predictions = np.stack([labels + [0.1, 0], np.full((60, 2), 0.5)])
    predictions[0, :, 1] = 0.1 + 0.8 * labels[:, 1]
    both = fit_weights(predictions, labels, ("regression", "classification"))
    for place, kind in enumerate(("regression", "classification")):
        alone = fit_weights(predictions[:, :, [place]], labels[:, [place]], kind)  # type: ignore[arg-type]
        np.testing.assert_array_equal(both[:, [place]], alone)


def test_the_file_keeps_the_kinds(stack: MoleblendMixed, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    stack.save(path)
    again = MoleblendMixed.load(path, device="cpu")
    assert again.class_columns == ("toxic",)
    np.testing.assert_array_equal(again.predict(SMILES[:5]), stack.predict(SMILES[:5]))
    np.testing.assert_array_equal(again.predict_interval(SMILES[:5]), stack.predict_interval(SMILES[:5]))
    for other in (MoleblendRegressor, MoleblendClassifier):
        with pytest.raises(MoleblendError, match=r"is a model of mixed: load it with MoleblendMixed\.load"):
            other.load(path)
    assert clone(again).get_params()["class_columns"] == ("toxic",)
    explained = explain_molecules(path, list(SMILES[:2]))
    assert not any(isinstance(found, Rejection) for found in explained)
    explainer = Explainer(Predictor.from_checkpoint(path, "cpu"))
    assert explainer.kinds == ("regression", "classification")
    page = Page(explainer, ("smiles",), "m", 2)
    assert page._quantity("toxic") == "log-odds of toxic"
    assert page._quantity("logS") == "logS, in its own unit"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "class_columns must name the targets that are classes"),
        (("logS", "toxic"), "class_columns must name the targets that are classes"),
        ("tox", "'tox' is none of the targets logS, toxic"),
        ("logS", "labels of class_columns must be 0, 1 or NaN"),
    ],
)
def test_what_cannot_be_is_refused(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MoleblendMixed(**QUICK, class_columns=given).fit(list(SMILES), Labels())


def test_trust_of_each_target_is_that_of_its_kind_alone() -> None:
    rng = np.random.default_rng(1)
    n = len(SMILES)
    targets = np.stack([rng.normal(size=n), rng.integers(0, 2, n), rng.normal(size=n)], 1)
    predictions = np.stack([targets[:, 0] * 0.8, rng.uniform(size=n), targets[:, 2] + 1], 1)
    rows = np.arange(n)
    domain = Domain.of(SMILES, rows)
    kinds = ("regression", "classification", "regression")

    def of(columns: list[int], kinds_of: Any) -> Any:
        held = HeldOut("folds", SMILES, rows, targets[:, columns], predictions[:, columns], rows % 4)
        return calibrate(kinds_of, [f"t{column}" for column in columns], domain, held)

    mixed = read_trust(write_trust(of([0, 1, 2], kinds)))
    assert (mixed.kind, mixed.column_kinds) == ("mixed", kinds)
    similarity = np.linspace(0, 1, n)
    values, classes = of([0, 2], "regression"), of([1], "classification")
    bounds = mixed.intervals(predictions, similarity)
    np.testing.assert_array_equal(bounds[:, [0, 2]], values.intervals(predictions[:, [0, 2]], similarity))
    assert np.isnan(bounds[:, 1]).all()
    np.testing.assert_array_equal(
        mixed.calibrated(predictions)[:, [1]], classes.calibrated(predictions[:, [1]])
    )
    np.testing.assert_array_equal(mixed.sets(predictions)[:, [1]], classes.sets(predictions[:, [1]]))
    assert mixed.summary()["targets"]["t2"] == values.summary()["targets"]["t2"]
    assert mixed.summary()["targets"]["t1"] == classes.summary()["targets"]["t1"]
    assert set(mixed.too_few(0.99)) == {"t0", "t2"}
    assert np.isinf(mixed.intervals(predictions, similarity, 0.99)[:, 0]).all()
    about = write_trust(mixed).about | {"kinds": ["regression", "classification"]}
    with pytest.raises(MoleblendError, match="is not sound"):
        read_trust(write_trust(mixed)._replace(about=about))


TINY: dict[str, Any] = {"checkpoint": "none", "ensemble_size": 2, "epochs": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    words = ["" if value != value else "yes" if value else "no" for value in CLASSES]
    write_table(folder / "t.csv", {"smiles": SMILES, "logS": VALUES, "toxic": words})
    options = FitOptions(
        data=str(folder / "t.csv"), targets=("logS", "toxic"), test_size=0.25, stacking="yes", **TINY
    )
    fit_table(options, folder / "model")
    return folder


def test_a_fit_of_both_kinds(fitted: Path) -> None:
    model = fitted / "model"
    manifest = json.loads((model / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["kind"] == "mixed"
    assert manifest["kinds"] == {"logS": "regression", "toxic": "classification"}
    own = manifest["scores"]["this model"]
    assert set(own) == {"roc_auc", "pr_auc", "rmse", "mae", "r2", "spearman"}
    assert set(own["rmse"]["per_target"]) == {"logS"}
    assert set(own["roc_auc"]["per_target"]) == {"toxic"}
    assert tomllib.loads((model / "run.toml").read_text(encoding="utf-8"))["fit"]["task"] == "mixed"
    assert read_table(read_options(model / "run.toml"), 1).kinds == ("regression", "classification")
    row = rows_of(model / "predictions_test.csv")[0]
    assert {
        "predicted_logS",
        "predicted_toxic",
        "low_logS",
        "high_logS",
        "calibrated_toxic",
        "set_toxic",
    } <= set(row)
    assert not {"low_toxic", "calibrated_logS"} & set(row)
    page = (model / "report.html").read_text(encoding="utf-8")
    for words in ("values and two classes", "RMSE", "ROC AUC", "ROC, precision and recall", "residuals"):
        assert words in page
    assert "median interval" in page
    assert "as predicted" in page


def test_a_fit_of_both_kinds_is_scored_by_kind(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(
            [str(word) for word in ("score", fitted / "model", fitted / "t.csv", "-o", fitted / "s.json")]
        )
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if line.startswith("target")).split()
    assert header == ["target", "labels", "roc_auc", "pr_auc", "rmse", "mae", "r2", "spearman"]
    toxic = next(line for line in lines if line.startswith("toxic"))
    assert toxic.rstrip().endswith("-  -  -  -") or toxic.split()[-1] == "-"
    assert not any("undefined" in line for line in lines)
    found = json.loads((fitted / "s.json").read_text())
    assert list(found["scores"]["rmse"]["per_target"]) == ["logS"]
    (fitted / "bad.csv").write_text("smiles,logS,toxic\nCCO,1,2\n")
    with pytest.raises(SystemExit):
        command.main([str(word) for word in ("score", fitted / "model", fitted / "bad.csv")])
    assert "the label of 'toxic' is 2" in capsys.readouterr().err


def test_other_tasks_refuse_in_one_line(fitted: Path) -> None:
    data, targets = str(fitted / "t.csv"), ("logS", "toxic")
    with pytest.raises(MoleblendError, match="--task mixed: all columns of labels hold values"):
        read_table(FitOptions(data=data, targets=("logS",), task="mixed"), 1)
    with pytest.raises(MoleblendError, match="--task classification: column logS"):
        read_table(FitOptions(data=data, targets=targets, task="classification"), 1)
    assert Predictor.from_checkpoint(fitted / "model" / MODEL_FILE, "cpu").kind == "mixed"
