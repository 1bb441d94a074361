"""A column of several classes from the table to predictions, scores, report, explanations and the server."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from moleblend_plugin.cli import main as command
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.explain.explainer import Explainer, log_odds_of
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.fitting.run import FitResult, OnFit, fit_table
from moleblend_plugin.inference.predictor import Ensemble, Predictor
from moleblend_plugin.networks.resolve import MODEL_FILE
from moleblend_plugin.serving.bodies import Body
from moleblend_plugin.serving.served_model import load_served
from tests.fitting.tables import SMILES, write_table
from tests.small_fits import forests_of, rows_of

TINY: dict[str, Any] = {
    "checkpoint": "none",
    "ensemble_size": 2,
    "epochs": 1,
    "molecule_featurizers": "none",
    "device": "cpu",
    "test_size": 0.25,
}
NAMES = ("high", "low", "medium")
WORDS = [("low", "Medium", "high")[min(2, len(text) // 4)] for text in SMILES]

small_forests = forests_of(60)


def run(*arguments: object) -> int:
    try:
        command.main([str(argument) for argument in arguments])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def table(path: Path, **changes: Any) -> Path:
    words = [word.lower() if number % 3 else word for number, word in enumerate(WORDS)]
    return write_table(path, {"id": range(len(SMILES)), "smiles": SMILES, "tox": words} | changes)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FitResult, list[str]]:
    folder = tmp_path_factory.mktemp("fit")
    said: list[str] = []
    options = FitOptions(data=str(table(folder / "my.csv")), stacking="yes", **TINY)
    result = fit_table(options, folder / "model", OnFit(say=said.append))
    return folder, result, said


def test_the_classes_are_found_and_said(fitted: tuple[Path, FitResult, list[str]]) -> None:
    folder, result, said = fitted
    assert "column of labels: tox (the only one of few words)" in said
    assert "labels are 3 classes, high, low, medium (by content)" in said
    assert any(line.startswith("molecules by class: high ") for line in said)
    assert result.options.task == "multiclass"
    assert result.options.split == "stratified"
    manifest = json.loads((folder / "model" / "manifest.json").read_text())
    assert manifest["kind"] == "multiclass"
    scores = manifest["scores"]["this model"]
    assert list(scores) == ["roc_auc_ovr", "balanced_accuracy", "accuracy", "log_loss"]
    assert len(manifest["scores"]) == 3  # beside two forests


def test_the_report_has_the_confusion_matrix_and_every_class(
    fitted: tuple[Path, FitResult, list[str]],
) -> None:
    folder, result, _ = fitted
    page = (folder / "model" / "report.html").read_text(encoding="utf-8")
    assert "Confusion matrix, ROC of every class against the rest, and calibration" in page
    assert "Every class of the test part" in page
    assert "Prediction sets that hold the class" in page
    assert "1 - probability of the true class" in page
    assert "Fitted to several classes in" in page
    assert result.evaluation is not None
    assert result.evaluation.predictions["this model"].shape == (len(result.evaluation.rows), 3)


def test_test_predictions_are_in_the_table_s_words_and_score_as_the_report_says(
    fitted: tuple[Path, FitResult, list[str]], tmp_path: Path
) -> None:
    folder, result, _ = fitted
    rows = rows_of(folder / "model" / "predictions_test.csv")
    true = [NAMES.index(row["tox"].lower()) for row in rows]
    given = np.array([[float(row[f"probability_tox_{name}"]) for name in NAMES] for row in rows])
    assert [row["predicted_tox"] for row in rows] == [NAMES[place] for place in given.argmax(1)]
    for prefix in ("members_sd", "calibrated"):
        assert all(float(row[f"{prefix}_tox_{name}"]) >= 0 for row in rows for name in NAMES)
    assert all(set(row["set_tox"].split("|")) <= set(NAMES) for row in rows)
    assert result.evaluation is not None
    own = result.evaluation.scores["this model"]
    assert own["accuracy"].values.mean == pytest.approx(accuracy_score(true, given.argmax(1)))
    assert own["log_loss"].values.mean == pytest.approx(log_loss(true, given, labels=[0, 1, 2]), abs=1e-6)
    assert run("score", folder / "model", "-o", tmp_path / "s.json", "-o", tmp_path / "s.csv") == 0
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["classes"] == list(NAMES)
    assert report["scored"] == len(rows)
    assert report["scores"]["accuracy"]["mean"] == pytest.approx(own["accuracy"].values.mean)
    scored = rows_of(tmp_path / "s.csv")
    assert [row["label_tox"] for row in scored] == [row["tox"].lower() for row in rows]


def test_odd_rows_of_a_scored_table_are_counted(
    fitted: tuple[Path, FitResult, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, _ = fitted
    data = write_table(
        tmp_path / "new.csv",
        {"smiles": ["CCO", "CCN", "CCC", "C1CC", "CCCl"], "tox": ["LOW", "unheard of", "", "low", "high"]},
    )
    assert run("score", folder / "model", data, "-o", tmp_path / "s.csv") == 0
    out = capsys.readouterr().out
    assert "rows       5: 2 scored, 1 without a label, 2 rejected" in out
    assert "label is no class of the model" in out
    reasons = [row["reason"] for row in rows_of(tmp_path / "s.csv")]
    assert "'unheard of'; classes are high, low, medium" in reasons[1]
    assert run("score", folder / "model", data, "--positive", "low") == 2
    assert "--positive and --negative name two classes" in capsys.readouterr().err


def test_a_column_of_the_input_keeps_its_name(
    fitted: tuple[Path, FitResult, list[str]], tmp_path: Path
) -> None:
    folder, _, _ = fitted
    data = write_table(tmp_path / "new.csv", {"smiles": ["CCO", "C1CC"], "predicted_tox": ["mine", "too"]})
    assert run("predict", folder / "model", data, "-o", tmp_path / "p.csv") == 0
    good, bad = rows_of(tmp_path / "p.csv")
    assert good["predicted_tox"] == "mine"  # the input's own column stays
    assert good["predicted_tox_"] in NAMES
    assert bad["predicted_tox_"] == bad["probability_tox_low"] == ""
    assert bad["reason"].startswith("no molecule") or "SMILES" in bad["reason"]


def test_atoms_explain_the_predicted_class_or_a_named_one(
    fitted: tuple[Path, FitResult, list[str]], tmp_path: Path
) -> None:
    folder, _, _ = fitted
    model = folder / "model" / MODEL_FILE
    data = write_table(tmp_path / "two.csv", {"smiles": ["CCO", "CCCCCCCCN"]})
    files = [tmp_path / "e.json", tmp_path / "e.csv", tmp_path / "e.html"]
    assert run("explain", model, data, *(word for file in files for word in ("-o", file))) == 0
    found = json.loads(files[0].read_text())
    predictor = Predictor.from_checkpoint(model, "cpu")
    assert isinstance(predictor, Ensemble)
    assert found["unit"] == "log-odds"
    for molecule in found["molecules"]:
        assert molecule["class"]["tox"] in NAMES
        methods = molecule["methods"]["integrated-gradients"]
        total = sum(methods["contributions"]["tox"])
        assert total == pytest.approx(molecule["explained"]["tox"] - methods["baseline"]["tox"], abs=0.02)
    with files[1].open(newline="") as file:
        assert {row["class_tox"] for row in csv.DictReader(file)} <= set(NAMES)
    assert "log-odds of the predicted class of tox against the rest" in files[2].read_text()
    explainer = Explainer(predictor, ["occlusion"], ["low", "high"])
    record = next(iter(load_records("CCO")))
    (one,) = explainer.explain_records([record])
    assert one.class_names == ("low", "high")
    each = [list(net.predict_records([record]))[0] for net in predictor.networks]
    odds = np.mean([np.log(p) - np.log1p(-p) for p in each], axis=0)
    np.testing.assert_allclose(one.explained, odds[[1, 0]], rtol=1e-4)
    with pytest.raises(MoleblendError, match="no class 'toxic'"):
        Explainer(predictor, ["occlusion"], ["toxic"])


def load_records(smiles: str) -> Any:
    from moleblend_plugin.chem.convert import ConversionConfig
    from moleblend_plugin.inference.estimators.molecules import convert_all

    return convert_all([smiles], ConversionConfig(None, source_coords=False), 1)


def test_log_odds_are_of_each_class_against_the_rest() -> None:
    import torch

    logits = torch.tensor([[2.0, 0.0, -1.0]], dtype=torch.float64)
    p = torch.softmax(logits, 1)
    torch.testing.assert_close(log_odds_of(logits), torch.log(p) - torch.log1p(-p))


def test_the_server_gives_the_class_and_every_probability(
    fitted: tuple[Path, FitResult, list[str]],
) -> None:
    folder, _, _ = fitted
    served = load_served(folder / "model", device="cpu")
    answer = served.predict(Body(json.dumps(["CCO", "C1CC"]).encode(), is_json=True)).to_plain(with_csv=True)
    by_role: dict[str, list[dict[str, Any]]] = {}
    for column in answer["columns"]:
        by_role.setdefault(column["role"], []).append(column)
    (value,) = by_role["value"]
    assert (value["type"], value["target"], value["class_name"]) == ("text", "tox", None)
    assert [column["class_name"] for column in by_role["probability"]] == list(NAMES)
    assert [column["class_name"] for column in by_role["calibrated"]] == list(NAMES)
    good, bad = answer["rows"]
    assert good["predicted_tox"] in NAMES
    assert sum(good[column["name"]] for column in by_role["probability"]) == pytest.approx(1)
    assert bad["predicted_tox"] is None
    assert "predicted_tox" in answer["csv"].splitlines()[0]


@pytest.mark.long
def test_whole_numbers_are_classes_if_asked_for(tmp_path: Path) -> None:
    grades = [(3, 5, 11)[min(2, len(text) // 4)] for text in SMILES]
    data = table(tmp_path / "grades.csv", tox=grades)
    options = FitOptions(data=str(data), targets=("tox",), task="multiclass", stacking="no", **TINY)
    fit_table(options, tmp_path / "model")
    predictor = Predictor.from_checkpoint(tmp_path / "model" / MODEL_FILE, "cpu")
    assert predictor.class_names == ("3", "5", "11")
    rows = rows_of(tmp_path / "model" / "predictions_test.csv")
    assert {row["predicted_tox"] for row in rows} <= {"3", "5", "11"}
    assert run("score", tmp_path / "model") == 0


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ({"tox": ["rare", *WORDS[1:]]}, {}, "has 1 molecule of class 'rare'.*--missing-label 'rare'"),
        ({"tox": ["rare", "rare", *WORDS[2:]], "part": ["test"] * 2 + ["train"] * 38},
         {"split_column": "part"}, "no molecule of class 'rare' to train on"),
        ({"other": [word + "er" for word in WORDS]}, {}, "several columns that may be the labels"),
        ({"other": range(40)}, {"targets": ("tox", "other")}, "3 classes, which are fitted by themselves"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_one_clear_line(
    tmp_path: Path, changes: Any, more: dict[str, Any], message: str
) -> None:
    options = FitOptions(data=str(table(tmp_path / "odd.csv", **changes)), stacking="no", **(TINY | more))
    with pytest.raises(MoleblendError, match=message):
        fit_table(options, tmp_path / "model")
