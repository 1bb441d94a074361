"""From a table to a model folder, interrupted on the way; then predict and score take the folder."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.cli import main as command
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.estimator import MoleblendRegressor
from moleblend_plugin.files import sha256_of
from moleblend_plugin.fitting.folder import FILES, ModelFolder
from moleblend_plugin.fitting.options import FitOptions, read_options
from moleblend_plugin.fitting.run import OnFit, fit_table
from moleblend_plugin.networks.resolve import MODEL_FILE
from moleblend_plugin.schema import PARTS
from tests.fitting.tables import SMILES, usual_table, write_table

TINY = {
    "checkpoint": "none",
    "ensemble_size": 2,
    "epochs": 1,
    "stacking": "no",
    "device": "cpu",
    "test_size": 0.2,
}


def run(*arguments: Path | int | str) -> int:
    try:
        command.main([str(argument) for argument in arguments])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose fit was interrupted when a member was done."""
    folder = tmp_path_factory.mktemp("fit")
    table = usual_table(
        folder / "my [b].csv", note=[f"n, {n}" if n % 2 else "" for n in range(40)][:-1] + ["last"]
    )
    with table.open("a", encoding="utf-8") as file:
        file.write("bad-1,C1CC,1.5,why\n")
    text = table.read_text(encoding="utf-8").replace("n, ", "n; ")
    table.write_text(text, encoding="utf-8")
    options = FitOptions(data=str(table), **TINY)  # type: ignore[arg-type]

    def stop(done: float, what: str) -> None:
        if members(folder):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_table(options, folder / "model", OnFit(progress=stop))
    return folder


def members(folder: Path) -> dict[Path, int]:
    """Members that are done, and when each was."""
    found = (folder / "model" / "work" / "members").glob("*/curve.json")
    return {path: path.stat().st_mtime_ns for path in found}


@dataclass(frozen=True)
class Refused:
    """What the commands said of the folder before its fit went on."""

    codes: list[int]
    lines: str


@pytest.fixture(scope="module")
def refused(interrupted: Path) -> Refused:
    model, table = interrupted / "model", interrupted / "my [b].csv"
    lines = io.StringIO()
    with contextlib.redirect_stderr(lines):
        codes = [
            run("predict", model, table, "-o", interrupted / "no.csv"),
            run("fit", table, "--out", model),
            run("fit", "--out", model, "--resume", "--epochs", 5),
        ]
    return Refused(codes, lines.getvalue())


@dataclass(frozen=True)
class Resumed:
    """The folder of a fit that went on, and what was seen of the members while it did."""

    folder: Path
    kept: dict[Path, int]
    seen: list[dict[Path, int]]


@pytest.fixture(scope="module")
def resumed(interrupted: Path, refused: Refused) -> Resumed:
    kept = members(interrupted)
    assert kept
    assert not (interrupted / "model" / MODEL_FILE).exists()
    seen = []

    def look(share: float, what: str) -> None:
        seen.append({path: when for path, when in members(interrupted).items() if path in kept})

    fit_table(FitOptions(), interrupted / "model", OnFit(progress=look), resume=True)
    return Resumed(interrupted, kept, seen)


@pytest.fixture(scope="module")
def fitted(resumed: Resumed) -> Path:
    """A folder whose fit was interrupted, and went on to its end."""
    return resumed.folder


def test_an_interrupted_fit_wants_to_be_resumed(refused: Refused) -> None:
    assert refused.codes == [2, 2, 2]
    *_, predict, fit, other = refused.lines.strip().splitlines()
    assert "--resume" in predict
    assert "--resume" in fit
    assert "epochs = 1, not 5" in other


def test_a_fit_goes_on_where_it_was(resumed: Resumed, capsys: pytest.CaptureFixture[str]) -> None:
    model = resumed.folder / "model"
    assert all(found in (resumed.kept, {}) for found in resumed.seen)
    assert resumed.kept in resumed.seen
    assert {path.name for path in model.iterdir()} - {".fit.lock"} == set(FILES)
    assert run("fit", "--out", model, "--resume") == 2
    assert "nothing to resume" in capsys.readouterr().err


def test_the_folder_says_what_it_holds(fitted: Path) -> None:
    model = fitted / "model"
    manifest = json.loads((model / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["sha256"][MODEL_FILE] == sha256_of(model / MODEL_FILE)
    assert manifest["data"] == {str(fitted / "my [b].csv"): sha256_of(fitted / "my [b].csv")}
    assert manifest["packages"]["moleblend_plugin"]
    split = json.loads((model / "split.json").read_text(encoding="utf-8"))
    assert split["sha256"] == manifest["split_sha256"]
    assert [split["parts"][part]["molecules"] for part in PARTS] == [32, 0, 8]
    leaks = json.loads((model / "split_report.json").read_text(encoding="utf-8"))
    assert leaks["pairs"]["train-test"]["duplicates"]["groups"] == 0
    rejected = rows_of(model / "rejected.csv")
    assert [row["row_id"] for row in rejected] == ["my [b].csv:40"]
    assert (rejected[0]["id"], rejected[0]["note"]) == ("bad-1", "why")
    found = tomllib.loads((model / "run.toml").read_text(encoding="utf-8"))
    assert found["fit"]["targets"] == ["logS"]
    options = read_options(model / "run.toml")
    assert (options.epochs, options.ensemble_size, options.task) == (1, 2, "regression")
    assert options.split == "random"


def test_the_test_part_keeps_names_and_columns(fitted: Path) -> None:
    rows = rows_of(fitted / "model" / "predictions_test.csv")
    split = json.loads((fitted / "model" / "split.json").read_text(encoding="utf-8"))
    assert [row["row_id"] for row in rows] == split["parts"]["test"]["row_ids"]
    for row in rows:
        number = int(row["row_id"].rpartition(":")[2])
        assert (row["id"], row["smiles"]) == (f"mol-{number}", SMILES[number])
        assert float(row["predicted_logS"]) == float(row["predicted_logS"])


def test_predict_score_and_python_take_the_folder(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = fitted / "model"
    (fitted / "new.smi").write_text("CCO ethanol\nnonsense odd\n", encoding="utf-8")
    assert run("predict", model, fitted / "new.smi", "--out", fitted / "new.csv") == 0
    rows = rows_of(fitted / "new.csv")
    assert [row["name"] for row in rows] == ["ethanol", "odd"]
    value = float(rows[0]["predicted_logS"])
    loaded = MoleblendRegressor.load(model)
    np.testing.assert_allclose(loaded.predict(["CCO"]).ravel(), value, rtol=1e-5)
    assert run("score", model, fitted / "my [b].csv", "--resamples", 20) == 0
    assert "40 scored" in capsys.readouterr().out
    assert run("score", model, "--resamples", 20) == 0
    assert "8 scored" in capsys.readouterr().out


def test_the_page_needs_nothing_else(fitted: Path) -> None:
    page = (fitted / "model" / "report.html").read_text(encoding="utf-8")
    for words in (
        "Test scores",
        "random forest on ECFP4 counts",
        "Worst predictions",
        "How to cite",
        "Leaks",
    ):
        assert words in page
    assert 'src="http' not in page
    assert "<svg" in page
    assert "my [b].csv" in page


def test_what_is_there_is_not_lost(fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sha256_of(fitted / "model" / MODEL_FILE)
    assert run("fit", fitted / "my [b].csv", "--out", fitted / "model") == 2
    assert "--overwrite" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("x")
    assert run("fit", fitted / "my [b].csv", "--out", tmp_path / "other") == 2
    assert "thesis.txt" in capsys.readouterr().err
    with (
        pytest.raises(MoleblendError, match="is a file"),
        ModelFolder(tmp_path / "other" / "thesis.txt").held(),
    ):
        pass
    assert sha256_of(fitted / "model" / MODEL_FILE) == before


def test_a_question_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_table(tmp_path / "t.csv", {"smiles": SMILES, "a": range(0, 80, 2), "b": range(0, 120, 3)})
    assert run("fit", table, "--out", tmp_path / "model") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "--target a" in lines[-1]
    assert not (tmp_path / "model" / "work").exists()
    assert run("fit", table) == 2
    assert "--out" in capsys.readouterr().err
    assert run("fit", "--out", tmp_path / "model") == 2
    assert "no table" in capsys.readouterr().err
