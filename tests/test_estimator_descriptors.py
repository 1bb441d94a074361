"""Estimators and fits that read columns beside the molecule: networks, forests, files, folders, requests."""

from __future__ import annotations

import json
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin import MoleblendClassifier, MoleblendRegressor
from moleblend_plugin.cli import main as command
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting import evaluation as evaluation_module
from moleblend_plugin.fitting.evaluation import evaluate
from moleblend_plugin.fitting.options import FitOptions, read_options
from moleblend_plugin.fitting.run import fit_table
from moleblend_plugin.fitting.table import read_table
from moleblend_plugin.inference.ensemble_file import read_ensemble
from moleblend_plugin.inference.predictor import Ensemble, Predictor
from moleblend_plugin.networks.resolve import MODEL_FILE
from moleblend_plugin.serving.bodies import Body
from moleblend_plugin.serving.served_model import load_served
from tests.fitting.tables import SMILES, write_table
from tests.small_fits import forests_of, rows_of

HOT = [round(290 + 3.5 * (number * 7 % 19), 1) for number in range(40)]
LABELS = [round((value - 300) / 10, 3) for value in HOT]
QUICK: dict[str, Any] = {
    "checkpoint": None,
    "input_mode": "2d",
    "epochs": 2,
    "batch_size": 8,
    "device": "cpu",
    "ensemble_size": 2,
}


small_forests = forests_of(60)


@pytest.fixture(scope="module")
def stack() -> MoleblendRegressor:
    """The label is the temperature; of three molecules it is missing."""
    hot: list[float | None] = [None if number in (3, 11, 30) else value for number, value in enumerate(HOT)]
    model = MoleblendRegressor(**QUICK, stacking=True, descriptors_columns="T")
    return model.fit({"T": hot, "smiles": list(SMILES)}, LABELS)


def test_forests_see_them_and_the_file_keeps_them(stack: MoleblendRegressor, tmp_path: Path) -> None:
    cold, warm = ({"smiles": ["CCO", "CCCCN"], "T": [value] * 2} for value in (292.0, 350.0))
    differences = stack.predict(warm) - stack.predict(cold)
    assert (differences > 2).all()  # networks of two epochs know little: this is what forests learned
    network = stack._network()
    assert isinstance(network, Ensemble)
    assert network.stack is not None
    assert network.stack.extra_descriptors == ("T",)
    stack.save(tmp_path / "m.pt")
    again = MoleblendRegressor.load(tmp_path / "m.pt", device="cpu")
    np.testing.assert_array_equal(again.predict(warm), stack.predict(warm))
    missing = again.predict({"smiles": ["CCO"], "T": [float("nan")]})
    assert np.isfinite(missing).all()
    plain = read_ensemble(tmp_path / "m.pt").stack
    assert plain is not None
    assert plain["extra_descriptors"] == ["T"]
    table = tmp_path / "new.csv"
    table.write_text("smiles,T\nCCO,292.0\nCCCCN,292.0\n")
    np.testing.assert_allclose(again.predict(table), stack.predict(cold))
    np.testing.assert_array_equal(again.predict_interval(cold).shape, (2, 2))
    assert np.corrcoef(stack.oof_prediction_, LABELS)[0, 1] > 0.9


def test_a_file_gives_labels_and_columns(tmp_path: Path) -> None:
    table = write_table(
        tmp_path / "t.csv", {"smiles": SMILES, "T": HOT, "class": [number % 2 for number in range(40)]}
    )
    settings = QUICK | {"ensemble_size": 1, "epochs": 1}
    model = MoleblendClassifier(**settings, descriptors_columns=["T"]).fit(table, "class")
    from_lists = MoleblendClassifier(**settings, descriptors_columns=["T"])
    from_lists.fit({"smiles": list(SMILES), "T": HOT}, [float(number % 2) for number in range(40)])
    np.testing.assert_allclose(
        model.predict_proba(table), from_lists.predict_proba({"smiles": list(SMILES), "T": HOT}), rtol=1e-6
    )
    assert 0 <= model.score(table, "class") <= 1


@pytest.mark.parametrize(
    ("table", "names", "words"),
    [
        (["CCO"] * 4, ["T"], "X has no column 'T'"),
        ({"smiles": ["CCO"] * 4, "T": ["warm"] * 4}, ["T"], "column 'T' of X holds what is no number"),
        ({"smiles": ["CCO"] * 4, "T": [np.inf] * 4}, ["T"], "holds infinity"),
        ({"a": ["CCO"] * 4, "b": ["CCO"] * 4, "T": [1] * 4}, "T", "one column of molecules"),
        ({"smiles": ["CCO"] * 4, "y": [1] * 4}, ["y"], "'y' is named twice, or is a target too"),
    ],
)
def test_what_cannot_be_read_is_said(table: Any, names: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MoleblendRegressor(**QUICK, descriptors_columns=names).fit(table, [1.0, 2.0, 3.0, 4.0])


TINY: dict[str, Any] = {"checkpoint": "none", "ensemble_size": 2, "epochs": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    cells = ["" if number == 4 else "hot" if number == 7 else value for number, value in enumerate(HOT)]
    write_table(
        folder / "t.csv", {"smiles": SMILES, "T": cells, "pH": [n % 5 for n in range(40)], "y": LABELS}
    )
    data = str(folder / "t.csv")
    options = FitOptions(data=data, descriptors_columns=("T", "pH"), test_size=0.2, stacking="yes", **TINY)
    fit_table(options, folder / "model")
    return folder


def test_a_fit_keeps_columns_and_rejects_what_is_no_number(fitted: Path) -> None:
    model = fitted / "model"
    (rejected,) = rows_of(model / "rejected.csv")
    assert rejected["row_id"] == "t.csv:7"
    assert rejected["reason"].startswith("descriptor is no number: column 'T'")
    run = tomllib.loads((model / "run.toml").read_text(encoding="utf-8"))
    assert run["fit"]["descriptors_columns"] == ["T", "pH"]
    assert run["fit"]["targets"] == ["y"]
    assert read_options(model / "run.toml").descriptors_columns == ("T", "pH")
    assert len(rows_of(model / "predictions_test.csv")) == 8
    page = (model / "report.html").read_text(encoding="utf-8")
    assert "read beside the molecule" in page
    assert "T is missing in 1 rows, which count as the mean of training" in page


def run(*words: Path | str) -> int:
    with pytest.raises(SystemExit) as done:
        command.main([str(word) for word in words])
    return int(done.value.code or 0)


def test_predict_and_score_need_them(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = fitted / "model", fitted / "out.csv"
    (fitted / "new.csv").write_text("pH,T,smiles\n1,292,CCO\n1,350,CCO\n1,,CCO\n1,hot,CCO\n")
    assert run("predict", model, fitted / "new.csv", "-o", out) == 0
    cold, warm, missing, bad = rows_of(out)
    assert float(warm["predicted_y"]) - float(cold["predicted_y"]) > 1
    assert missing["predicted_y"]
    assert (bad["predicted_y"], bad["reason"].partition(":")[0]) == ("", "descriptor is no number")
    (fitted / "without.csv").write_text("smiles,T\nCCO,292\n")
    assert run("predict", model, fitted / "without.csv", "-o", fitted / "no.csv") == 2
    assert "has no column 'pH', which the model reads beside the molecule" in capsys.readouterr().err
    assert not (fitted / "no.csv").exists()
    assert run("score", model, fitted / "t.csv") == 0
    assert "descriptor is no number" in capsys.readouterr().out


def test_baselines_without_a_stack_see_them(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = read_table(
        FitOptions(data=str(fitted / "t.csv"), targets=("y",), descriptors_columns=("T",), **TINY), 1
    )
    predictor = Predictor.from_checkpoint(fitted / "model" / MODEL_FILE, "cpu")
    assert isinstance(predictor, Ensemble)
    predictor.stack = None
    predictor.extra_descriptors = ("T",)
    monkeypatch.setattr(Predictor, "predict_records", lambda self, records: [np.zeros(1) for _ in records])
    monkeypatch.setattr(Ensemble, "predict_records", Predictor.predict_records)
    monkeypatch.setattr(
        evaluation_module, "fit_tasks", partial(evaluation_module.fit_tasks, numbers={"n_estimators": 30})
    )
    rows = np.arange(39)
    found = evaluate(predictor, table, rows[rows % 4 > 0], rows[rows % 4 == 0])
    truth = found.labels[:, 0]
    for name in evaluation_module.BASELINE_KINDS.values():
        assert np.corrcoef(found.predictions[name][:, 0], truth)[0, 1] > 0.8


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("T", "pK"), "--descriptors-columns: .* has no column 'pK'"),
        (("T", "T"), "'T' is named for another purpose too"),
        (("smiles",), "'smiles' is named for another purpose too"),
        (("const",), "const holds 7 in every row, which says nothing"),
        (("none",), "none holds no number in any row"),
    ],
)
def test_a_fit_refuses_columns_in_one_line(tmp_path: Path, given: tuple[str, ...], words: str) -> None:
    columns = {"smiles": SMILES, "T": HOT, "const": [7] * 40, "none": [""] * 40, "y": LABELS}
    table = write_table(tmp_path / "t.csv", columns)
    with pytest.raises(MoleblendError, match=words):
        read_table(FitOptions(data=str(table), targets=("y",), descriptors_columns=given), 1)


def test_requests_bring_them(fitted: Path) -> None:
    served = load_served(fitted / "model", device="cpu")
    served.warm_up()
    assert "the model reads T, pH beside the molecule" in served.notes[-1]
    sent = [
        {"smiles": "CCO", "T": 292, "pH": 1},
        {"smiles": "CCO", "T": "350", "pH": 1},
        {"smiles": "CCO", "T": None, "pH": 1},
        {"smiles": "CCO", "T": "hot", "pH": 1},
        {"smiles": "C1CC", "T": 1, "pH": 1},
        {"smiles": "CCO", "T": 292},
        "CCO",
    ]
    listed = served.predict(Body(json.dumps(sent).encode(), is_json=True))
    names = [column.name for column in listed.columns]
    rows = [dict(zip(names, cells, strict=True)) for cells in listed.cells]
    assert names[:4] == ["row_id", "smiles", "T", "pH"]
    assert rows[1]["predicted_y"] - rows[0]["predicted_y"] > 1
    assert rows[2]["predicted_y"] is not None
    assert [row["predicted_y"] for row in rows[3:]] == [None] * 4
    assert rows[3]["reason"].startswith("descriptor is no number: column 'T'")
    assert rows[4]["reason"] == "SMILES syntax"
    for row, name in zip(rows[5:], ("pH", "T"), strict=True):
        assert row["reason"].startswith(
            f"no '{name}', which the model reads beside the molecule: send objects"
        )
    table = served.predict(Body(b"smiles,pH,T\nCCO,1,292\n", name="a.csv"))
    place = [column.name for column in table.columns].index("predicted_y")
    assert table.cells[0][place] == pytest.approx(rows[0]["predicted_y"])
    with pytest.raises(MoleblendError, match="has no column 'T', which the model reads"):
        served.predict(Body(b"smiles\nCCO\n", name="a.csv"))
