"""From a table to the settings of a fit: folder, report, and that a fit of the winner is what was scored."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from moleblend_plugin.cli import main as command  # noqa: E402
from moleblend_plugin.ensembles.weights import fit_weights, weighted_mean  # noqa: E402
from moleblend_plugin.errors import MoleblendError  # noqa: E402
from moleblend_plugin.fitting import run as fitting_run  # noqa: E402
from moleblend_plugin.fitting.options import FitOptions, read_options  # noqa: E402
from moleblend_plugin.fitting.run import OnFit, fit_table  # noqa: E402
from moleblend_plugin.fitting.training import TimeEstimate  # noqa: E402
from moleblend_plugin.tuning import cross_validation  # noqa: E402
from moleblend_plugin.tuning import run as tuning_run  # noqa: E402
from moleblend_plugin.tuning.cross_validation import CrossValidation, least_loss  # noqa: E402
from moleblend_plugin.tuning.objective import Outcome, Watch  # noqa: E402
from moleblend_plugin.tuning.run import TuneOptions, tune_table  # noqa: E402
from moleblend_plugin.tuning.search_score import fold_scores, search_score  # noqa: E402
from tests.fitting.tables import SMILES, usual_table, write_table  # noqa: E402

TINY = FitOptions(
    checkpoint="none", ensemble_size=2, epochs=1, stacking="no", device="cpu", test_size=0.2, batch_size=8
)
NAN = float("nan")


def tune(*arguments: Path | float | str) -> int:
    try:
        command.main(["tune", *map(str, arguments)])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def stub(settings: FitOptions, watch: Watch) -> Outcome:
    """The nearer the rate is to 1e-3, the better."""
    loss = abs(np.log10(settings.learning_rate) + 3)
    for fold in range(1, settings.ensemble_size + 1):
        watch.folds(fold, settings.ensemble_size, loss)
    alone = tuple(loss + 0.01 * fold for fold in range(settings.ensemble_size))
    return Outcome({"no": alone, "yes": tuple(value - 0.02 for value in alone)}, 3)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_run, "CrossValidation", lambda *given: stub)


@pytest.mark.usefixtures("quick")
def test_the_folder_and_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = usual_table(tmp_path / "my [b].csv", other=range(40)), tmp_path / "tuned"
    with table.open("a", encoding="utf-8") as file:
        file.write("bad,C1CC,1.5,3\n")
    assert tune(table, "--target", "logS", "--out", out, "--trials", 12) == 0
    said = capsys.readouterr()
    assert "12 trials that were asked for are done" in said.out
    assert f"moleblend fit --config {out / 'best.toml'}" in said.out
    assert "logS" not in (out / "split.json").read_text(encoding="utf-8")
    assert {"study.db", "best.toml", "trials.csv", "report.html", "rejected.csv", "split.json"} <= {
        path.name for path in out.iterdir()
    }
    assert not (out / "work").exists()
    options = read_options(out / "best.toml")
    assert options.targets == ("logS",)
    assert (options.ensemble_size, options.stacking) == (6, "yes")
    found = tomllib.loads((out / "best.toml").read_text(encoding="utf-8"))["found"]
    assert found["cross_validation"]["rmse"] < found["cross_validation"]["rmse_default"]
    assert found["split_sha256"] == json.loads((out / "split.json").read_text(encoding="utf-8"))["sha256"]
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("winner beside the default", "learning_rate", "fANOVA", "standard deviation", "left out"):
        assert words in page
    assert page.count("<picture>") == 3
    assert 'src="http' not in page
    assert tune(table, "--target", "logS", "--out", out, "--trials", 14, "--minutes", 31) == 0
    assert "resuming: " in capsys.readouterr().err
    with (out / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["state"] in ("complete", "pruned") for row in rows) == 14


@pytest.mark.usefixtures("quick")
def test_columns_of_both_kinds_have_one_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The mean of R2 and ROC-AUC, of which more is better: the stub's loss, as if it were one."""
    table = usual_table(tmp_path / "t.csv", toxic=["yes", "no"] * 20)
    words = ("--target", "logS", "--target", "toxic", "--out", tmp_path / "tuned", "--trials", 3)
    assert tune(table, *words) == 0
    score = search_score("mixed", 2)
    assert score == ("score", "R² and ROC AUC, mean of 2 targets", True)
    assert score.title in capsys.readouterr().out
    assert score.title in (tmp_path / "tuned" / "report.html").read_text(encoding="utf-8")
    found = tomllib.loads((tmp_path / "tuned" / "best.toml").read_text(encoding="utf-8"))["found"]
    values = found["cross_validation"]
    assert values["score"] >= values["score_default"]
    with (tmp_path / "tuned" / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["score_mean"]]
    assert max(float(row["score_mean"]) for row in rows) == pytest.approx(values["score"], rel=1e-5)


@pytest.mark.usefixtures("quick")
def test_what_is_there_is_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = usual_table(tmp_path / "t.csv"), tmp_path / "tuned"
    assert tune(table, "--out", out, "--trials", 1) == 0
    assert tune(table, "--out", out, "--trials", 1, "--seed", 4) == 2
    assert "begun with seed = 0, not 4" in capsys.readouterr().err
    with table.open("a", encoding="utf-8") as file:
        file.write("new,CCCCCCCCCCCCO,1.5\n")
    assert tune(table, "--out", out, "--trials", 2) == 2
    assert "is not what the study was begun with" in capsys.readouterr().err
    assert tune(table, "--out", out, "--trials", 1, "--seed", 4, "--overwrite") == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("x")
    assert tune(table, "--out", tmp_path / "other") == 2
    assert "thesis.txt" in capsys.readouterr().err
    for options, words in (
        (["--minutes", 0], "--minutes 0"),
        (["--trials", -1], "--trials -1"),
        (["--ensemble-size", 1], "--ensemble-size 1"),
        (["--readout", "max"], "--readout 'max'"),
    ):
        assert tune(table, "--out", tmp_path / "new", *options) == 2
        assert words in capsys.readouterr().err
    assert tune(table) == 2
    assert "--out is missing" in capsys.readouterr().err


@pytest.mark.long
def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    def interrupt(settings: FitOptions, watch: Watch) -> Outcome:
        if settings.learning_rate != 5e-4:
            raise KeyboardInterrupt
        return stub(settings, watch)

    options = FitOptions(data=str(usual_table(tmp_path / "t.csv")))
    with pytest.raises(KeyboardInterrupt):
        tune_table(options, TuneOptions(), tmp_path / "tuned", objective=interrupt)
    assert read_options(tmp_path / "tuned" / "best.toml").learning_rate == 5e-4
    assert "it was interrupted" in (tmp_path / "tuned" / "report.html").read_text(encoding="utf-8")
    result = tune_table(options, TuneOptions(trials=2), tmp_path / "tuned", objective=stub)
    assert [trial.state for trial in result.trials] == ["complete", "stopped", "complete"]
    assert result.trials[1].params == result.trials[2].params


def test_the_test_part_is_out_of_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def keep(*arguments: Any) -> Any:
        given.append(arguments)
        return stub

    monkeypatch.setattr(tuning_run, "CrossValidation", keep)
    table = usual_table(tmp_path / "t.csv")
    tune_table(FitOptions(data=str(table)), TuneOptions(trials=1), tmp_path / "tuned")
    seen, rows, _, stackings = given[0]
    split = json.loads((tmp_path / "tuned" / "split.json").read_text(encoding="utf-8"))
    tested = [seen.row_ids.index(name) for name in split["parts"]["test"]["row_ids"]]
    assert len(tested) == 4
    assert not set(tested) & set(rows.tolist())
    assert np.isnan(seen.labels[tested]).all()
    assert all(np.isnan(seen.records[place].targets).all() for place in tested)
    assert not np.isnan(seen.labels[rows]).any()
    assert stackings == ("no", "yes")


@pytest.mark.long
def test_a_fit_of_the_winner_is_what_was_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trials of networks from scratch; the winner's fit has the same parts, folds and scores."""
    table = write_table(
        tmp_path / "t.csv", {"smiles": SMILES[:30], "y": [len(text) + 0.5 for text in SMILES[:30]]}
    )
    from dataclasses import replace

    options = replace(TINY, data=str(table))
    result = tune_table(options, TuneOptions(30, 2), tmp_path / "tuned")
    assert [trial.state for trial in result.trials] == ["complete", "complete"]
    assert result.winner.value <= result.default_score
    assert result.trials[0].value != result.trials[1].value
    trained: list[Any] = []
    real = fitting_run.train

    def train(*arguments: Any) -> Any:
        trained.append(real(*arguments))
        return trained[-1]

    monkeypatch.setattr(fitting_run, "train", train)
    monkeypatch.setattr(fitting_run, "estimate_time", lambda *given: TimeEstimate(1.0, 0.0))
    fitted = fit_table(read_options(tmp_path / "tuned" / "best.toml"), tmp_path / "model")
    best = tomllib.loads((tmp_path / "tuned" / "best.toml").read_text(encoding="utf-8"))
    assert fitted.split_sha256 == best["found"]["split_sha256"]
    parts = json.loads((tmp_path / "model" / "split.json").read_text(encoding="utf-8"))["parts"]
    rows = [int(name.rpartition(":")[2]) for name in parts["train"]["row_ids"]]
    labels = np.array([[len(SMILES[row]) + 0.5] for row in rows])
    scores = fold_scores(labels, trained[0].oof_prediction_, trained[0].oof_fold_, "regression")
    assert scores == pytest.approx(result.winner.folds, rel=1e-5)
    assert not (tmp_path / "tuned" / "work").exists()


class Fitted:
    """What an estimator leaves behind; the last molecule weighs nothing."""

    n_epochs_ = 2

    def __init__(self, labels: Any) -> None:
        self.oof_fold_ = np.arange(len(labels)) % 2
        self.oof_fold_[-1] = -1
        self.oof_prediction_ = labels + np.where(np.arange(len(labels)) // 2 % 2, 1.0, -1.0)[:, None]
        self.oof_prediction_[-1] = NAN


def test_networks_are_scored_alone_and_with_forests_that_are_fitted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def keep(*arguments: Any) -> Any:
        given.append(arguments)
        return stub

    monkeypatch.setattr(tuning_run, "CrossValidation", keep)
    data = str(usual_table(tmp_path / "t.csv"))
    tune_table(FitOptions(data=data), TuneOptions(trials=1), tmp_path / "tuned")
    table, rows, _, _ = given[0]
    table = table._replace(weights=np.where(np.arange(len(table.kept)) == rows[-1], 0.0, 1.0))
    monkeypatch.setattr(cross_validation, "train", lambda table, rows, jobs: Fitted(table.labels[rows]))
    calls: list[int] = []

    def forests(given: Any, *rest: Any) -> Any:
        calls.append(len(given.targets))
        return {}, [given.targets + 0.1, given.targets * 0.0]

    monkeypatch.setattr(cross_validation, "fit_forests", forests)

    class Silent:
        def progress(self, share: float) -> None: ...

        def folds(self, done: int, of: int, loss: float) -> None: ...

    trial = CrossValidation(table, rows, tmp_path / "work", ("no", "yes"))
    first, second = trial(table.options, Silent()), trial(table.options, Silent())
    assert first.folds["no"] == pytest.approx((1.0, 1.0))
    used = rows[:-1]
    labels, fold = table.labels[used], np.arange(len(used)) % 2
    each = np.stack([Fitted(table.labels[rows]).oof_prediction_[:-1], labels + 0.1, labels * 0.0])
    for number in (0, 1):  # weights of a fold come from the other one
        own, other = fold == number, fold != number
        found = weighted_mean(each[:, own], fit_weights(each[:, other], labels[other], "regression"))
        expected = float(np.sqrt(np.mean((found - labels[own]) ** 2)))
        assert first.folds["yes"][number] == pytest.approx(expected)
        assert expected < 0.9
    assert second.folds == first.folds
    assert calls == [len(rows) - 1]
    assert (first.epoch, first.best(rises=False)) == (2, "yes")


def test_scores_by_hand() -> None:
    folds = np.array([0, 0, 1, 1, -1])
    labels = np.array([[0.0, 10.0], [2.0, NAN], [4.0, 30.0], [NAN, NAN], [9.0, 9.0]])
    predictions = labels + np.array([[1.0, 2.0]])
    spread = np.array([np.std([0, 2, 4]), np.std([10, 30])])
    both = float(np.mean([1, 2] / spread))
    assert fold_scores(labels, predictions, folds, "regression") == pytest.approx((both, both))
    classes = np.array([[0.0], [1.0], [1.0], [1.0], [0.0]])
    ranked = np.array([[0.1], [0.9], [0.5], [0.5], [0.5]])
    assert fold_scores(classes, ranked, folds, "classification") == pytest.approx((1.0, NAN), nan_ok=True)
    together = np.column_stack([labels[:, 0], classes[:, 0]])
    said = np.column_stack([predictions[:, 0], ranked[:, 0]])
    both = fold_scores(together, said, folds, ("regression", "classification"))
    assert both == pytest.approx(((0.0 + 1.0) / 2, NAN), nan_ok=True), "R2 of 0, 2 from 1, 3; AUC; then none"
    assert least_loss([{1: 3.0, 2: 1.0}, {1: 1.0, 2: 2.0}]) == 1.5
    assert np.isnan(least_loss([{1: NAN}]))
    assert Outcome({"no": (1.0, NAN)}, 1).mean("no") == 1.0


def test_a_search_of_large_tables_leaves_forests_out(tmp_path: Path) -> None:
    large = FitOptions(stacking="no")
    assert tuning_run._stackings(FitOptions(), large) == ("no",)
    assert tuning_run._stackings(FitOptions(stacking="yes"), FitOptions(stacking="yes")) == ("yes",)
    with pytest.raises(MoleblendError, match="no table"):
        tune_table(FitOptions(), TuneOptions(), tmp_path, OnFit())
