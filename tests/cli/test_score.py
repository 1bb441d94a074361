"""`moleblend score`: the scores of labels and predictions, from a run, a store or a table."""

from __future__ import annotations

import csv
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score, root_mean_squared_error

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.run_folder import words_of_build
from moleblend_plugin.metrics.bootstrap import interval, intervals
from tests.checkpoints import property_checkpoint
from tests.labelled import NAN, RUN, write_labelled

CPU = ("--device", "cpu", "--workers", "1", "--resamples", "50")


def run(*arguments: Path | str) -> int:
    """Exit code of the command line in this process."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "ab.pt", ("a", "b"))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "c.pt", ("c",), kind="classification")


@pytest.fixture
def stores(tmp_path: Path) -> Path:
    table = [[1.0, 2.0], [2.0, NAN], [4.0, 1.0], [NAN, NAN], [3.0, 5.0]]
    return write_labelled(tmp_path, {"train": table, "test": table})


def report_of(tmp_path: Path, *arguments: Path | str) -> dict[str, Any]:
    out = tmp_path / "scores.json"
    assert run("score", *arguments, "--out", out, "--overwrite", *CPU) == 0
    return json.loads(out.read_text())


def test_scores_of_a_store_are_scikit_learn_s(
    regression: Path, stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report_of(tmp_path, regression, stores)
    predicted = Predictor.from_checkpoint(regression, "cpu").predict_store(
        MoleculeStore(stores / "test.lmdb")
    )
    truth = np.array([[1, 2], [2, NAN], [4, 1], [3, 5]])
    guess = predicted[[0, 1, 2, 4]]
    per_target = found["scores"]["rmse"]["per_target"]
    for place, (name, rows) in enumerate({"a": [0, 1, 2, 3], "b": [0, 2, 3]}.items()):
        true, values = truth[rows, place], guess[rows, place]
        assert per_target[name]["value"] == pytest.approx(root_mean_squared_error(true, values))
        assert found["scores"]["mae"]["per_target"][name]["value"] == pytest.approx(
            mean_absolute_error(true, values)
        )
        assert found["scores"]["r2"]["per_target"][name]["value"] == pytest.approx(r2_score(true, values))
    assert set(found["scores"]) == {"rmse", "mae", "r2", "spearman"}
    assert found["scores"]["rmse"]["mean"] == pytest.approx(
        np.mean([v["value"] for v in per_target.values()])
    )
    assert found["scores"]["rmse"]["interval"] == pytest.approx(interval("rmse", truth, guess, 50))
    assert per_target["a"]["interval"] == pytest.approx(interval("rmse", truth[:, :1], guess[:, :1], 50))
    assert (found["rows"], found["scored"], found["without_label"]) == (5, 4, 1)
    assert found["labels"] == {"a": 4, "b": 3}
    shown = capsys.readouterr().out
    assert "rows       5: 4 scored, 1 without a label, 0 rejected" in shown
    assert ["mean", "7"] in [line.split()[:2] for line in shown.splitlines()]


def test_scores_of_a_table_with_rows_that_are_none(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("SMILES,c\nCCO,1\nbad(,0\nCCCCC,0\nCC,\nCCN,what\nC,1\nCCl,0\n")
    found = report_of(tmp_path, classifier, path)
    assert (found["rows"], found["scored"], found["without_label"]) == (7, 4, 1)
    assert found["rejected"] == {"SMILES syntax": 1, "target is no number": 1}
    rows = {row["row_id"]: row for row in found["predictions"]}
    assert list(rows) == ["in.csv:0", "in.csv:2", "in.csv:5", "in.csv:6"]
    labels, predicted = ([row[key][0] for row in rows.values()] for key in ("labels", "predicted"))
    assert labels == [1, 0, 1, 0]
    assert found["scores"]["roc_auc"]["mean"] == pytest.approx(roc_auc_score(labels, predicted))
    assert set(found["scores"]) == {"roc_auc", "pr_auc"}
    assert "1  SMILES syntax" in capsys.readouterr().out


def test_predictions_are_those_of_predict(regression: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("smiles,x,y\n" + "".join(f"{'C' * n}O,{n},\n" for n in range(1, 9)))
    columns = ("--target-columns", "x", "--target-columns", "y")
    assert run("score", regression, path, "--out", tmp_path / "s.tsv", *columns, *CPU) == 0
    assert run("predict", regression, path, "--out", tmp_path / "p.tsv", *CPU[:4]) == 0
    tables = []
    for name in ("s.tsv", "p.tsv"):
        with (tmp_path / name).open(newline="") as file:
            tables.append(list(csv.DictReader(file, delimiter="\t")))
    scored, predicted = tables
    assert [row["predicted_a"] for row in scored] == [row["predicted_a"] for row in predicted]
    assert [row["label_a"] for row in scored] == [str(n) for n in range(1, 9)]
    assert [row["label_b"] for row in scored] == [""] * 8


def scored_labels(tmp_path: Path, *arguments: Path | str) -> dict[str, float]:
    return {
        row["row_id"].rpartition(":")[2]: row["labels"][0]
        for row in report_of(tmp_path, *arguments)["predictions"]
    }


def test_words_of_labels_are_those_of_a_build(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("smiles,c\nCCO,hit\nCCN,dud\nCCC,n.d.\nCCF,true\n")
    words = ("--positive", "hit", "--negative", "dud", "--missing-label", "n.d.")
    assert scored_labels(tmp_path, classifier, tmp_path / "w.csv", *words) == {"0": 1, "1": 0, "3": 1}


def test_a_run_knows_the_words_of_its_build(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("smiles,c\nCCO,hit\nCCN,dud\nCCC,n.d.\nCCF,-1\n")
    words = ("--positive", "hit", "--negative", "dud", "--missing-label", "-1", "--missing-label", "n.d.")
    options = ("--target-columns", "c", "--conformers", "none", "--workers", "1")
    assert run("build", tmp_path / "w.csv", "--out", tmp_path / "store", *options, *words) == 0
    args = Namespace(data=str(tmp_path / "store"))
    expected = {"missing_label": ["-1.0", "n.d."], "positive": ["hit"], "negative": ["dud"]}
    assert words_of_build(tmp_path / "checkpoint.pt", args) == expected
    assert words_of_build(tmp_path / "checkpoint.pt", Namespace(data=str(tmp_path / "gone"))) == {}


def test_numbers_with_decimal_commas_are_labels(regression: Path, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("smiles;a;b\nCCO;1,5;2\nCCN;2,25;3\n")
    assert scored_labels(tmp_path, regression, tmp_path / "d.csv") == {"0": 1.5, "1": 2.25}


def test_columns_of_one_name_are_refused(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.csv").write_text("smiles,c,c\nCCO,1,0\nCCN,0,1\n")
    assert run("score", classifier, tmp_path / "d.csv", *CPU) == 2
    assert "has 2 columns named 'c'; rename all but one" in capsys.readouterr().err


def test_a_data_item_with_two_values_is_no_label(classifier: Path, tmp_path: Path) -> None:
    atoms = (
        "m\n\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n    0.0000    0.0000    0.0000 C   0  0\nM  END\n"
    )
    items = ("> <c>\n1\n\n> <c>\n0\n", "> <c>\n1\n", "> <other>\n5\n\n> <c>\n0\n")
    (tmp_path / "d.sdf").write_text("".join(f"{atoms}{item}\n$$$$\n" for item in items))
    assert scored_labels(tmp_path, classifier, tmp_path / "d.sdf") == {"1": 1, "2": 0}
    assert report_of(tmp_path, classifier, tmp_path / "d.sdf")["rejected"] == {"data item twice": 1}


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    from moleblend_plugin.trainer.main import main as train

    table = [[float(n), -float(n)] for n in range(8)]
    data = write_labelled(tmp_path / "data", {"train": table, "valid": table, "test": table[:5]})
    words: list[object] = [
        data,
        *RUN,
        "--loss",
        "moleblend_regression",
        "--max-epoch",
        "1",
        "--cpu",
        "--log-format",
        "none",
    ]
    assert train([str(word) for word in [*words, "--save-dir", tmp_path / "run"]]) == 0
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


def test_a_run_s_folder_finds_its_best_checkpoint_and_its_test_part(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = report_of(tmp_path, trained)
    assert found["model"] == str(trained / "checkpoint_best.pt")
    assert found["data"] == str(tmp_path / "data" / "test.lmdb")
    assert found["scored"] == 5
    assert "warning" not in capsys.readouterr().err
    assert report_of(tmp_path, trained, "--part", "valid")["scored"] == 8
    monkeypatch.chdir(tmp_path / "data")  # the record's paths hold wherever the command is given
    assert report_of(tmp_path, trained)["scored"] == 5
    write_labelled(tmp_path / "data", {"train": [[1.0, 2.0]]})
    capsys.readouterr()
    report_of(tmp_path, trained)
    assert "the train part was built again after training" in capsys.readouterr().err
    (tmp_path / "data" / "test.lmdb").unlink()
    assert run("score", trained) == 2
    assert "has no test part (parts: train, valid): build it with --split" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (
            "smiles,d\nC,1\n",
            (),
            "has no labels 'c'; the file has smiles, d: name the columns with --target-c",
        ),
        ("smiles,C\nC,1\n", (), "did you mean 'C'?"),
        (
            "smiles,c\nC,1\nCC,2\n",
            (),
            "in.csv:1: the label of 'c' is 2, but the model distinguishes class 1 from class 0",
        ),
        ("smiles,c\nC,\n", (), "none of the 1 rows has a label of c and a molecule"),
        ("smiles,c\nC,x\n", (), "(target is no number: 1)"),
        (
            "smiles,c\nC,1\n",
            ("--target-columns", "c", "--target-columns", "c"),
            "the model has 1 targets (c)",
        ),
        ("smiles,c\nC,1\n", ("--level", "95"), "the level of an interval lies between 0 and 1"),
        ("smiles,c\nC,1\n", ("--out", "a.txt"), "use .json or .csv or .tsv or .parquet"),
        ("smiles,c\nC,1\n", ("--out", "a.csv", "--out", "b.tsv"), "a.csv is of the same kind"),
        (None, (), "in.csv does not exist"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(
    classifier: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
    options: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "in.csv").write_text(content)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert run("score", classifier, "in.csv", "--out", "s.json", *options, "--device", "cpu") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_model_without_data_and_a_folder_without_a_model(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("score", classifier) == 2
    assert "does not say which data it was trained on: name the data as well" in capsys.readouterr().err
    assert run("score", tmp_path) == 2
    assert "holds neither checkpoint_best.pt nor checkpoint_last.pt" in capsys.readouterr().err


def test_intervals_of_tasks_come_from_the_resamples_of_the_mean() -> None:
    rng = np.random.default_rng(1)
    labels, values = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    labels[::3, 1] = NAN
    for score in ("rmse", "mae", "r2", "spearman"):
        found = intervals(score, labels, values, n=60, seed=4)
        assert found.mean == interval(score, labels, values, n=60, seed=4)
        one = interval(score, labels[:, :1], values[:, :1], n=60, seed=4)
        assert found.per_task[0] == pytest.approx(one)
