"""``moleblend bench`` from end to end: cells, resuming, failures, table and page."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from moleblend_plugin.cli.main import app, main
from moleblend_plugin.metrics.scores import score_regression

CONFIG = """
seeds = [4]
conformers = "none"
jobs = 2
[[sets]]
name = "chains"
table = "chains.csv"
split = "column:part"
targets = ["carbons"]
metric = "mae"
[[sets]]
name = "bad"
table = "chains.csv"
split = "column:part"
targets = ["no such column"]
metric = "mae"
[[models]]
name = "ours"
kind = "ours"
arch = "moleblend_property_tiny"
input_mode = "2d"
training = { epochs = 1, batch = 8, lr = 1e-3 }
flags = ["--encoder-layers", "1"]
[[models]]
name = "forest"
kind = "ecfp4-rf"
grid = { n_estimators = [1, 8] }
[[models]]
name = "broken"
kind = "ours"
flags = ["--no-such-flag"]
"""


def bench(folder: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["bench", str(folder / "b.toml"), "--out", str(folder / "out"), *words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alkanes and alcohols with their number of carbons; a finished comparison of them."""
    folder = tmp_path_factory.mktemp("bench")
    rows = [(f"{'C' * n}{end}", n) for n in range(2, 17) for end in ("", "O")]
    parts = ["valid" if n % 5 == 0 else "test" if n % 5 == 1 else "train" for n in range(len(rows))]
    lines = [f"{smiles},{n},{part}" for (smiles, n), part in zip(rows, parts, strict=True)]
    (folder / "chains.csv").write_text("\n".join(["smiles,carbons,part", *lines]) + "\n")
    (folder / "b.toml").write_text(CONFIG)
    done = bench(folder)
    assert done.exit_code == 1, done.output  # one model cannot be trained
    (folder / "said").write_text(done.output)
    return folder


def cell(folder: Path, model: str) -> Path:
    return folder / "out" / "cells" / "chains" / model / "4.json"


def test_a_cell_holds_scores_of_its_predictions(folder: Path) -> None:
    for model in ("ours", "forest"):
        result = json.loads(cell(folder, model).read_text())
        with np.load(cell(folder, model).with_suffix(".npz")) as arrays:
            scores = score_regression(arrays["test_targets"], arrays["test_predictions"], ["carbons"])
            assert arrays["test_ids"].tolist() == [f"chains.csv:{row}" for row in (1, 6, 11, 16, 21, 26)]
        assert result["test"]["scores"]["mae"] == scores["mae"].mean
        assert result["n"] == {"train": 18, "valid": 6, "test": 6}
        assert result["packages"].keys() >= {"moleblend_plugin", "rdkit", "scikit-learn"}


def test_our_checkpoint_is_the_one_that_validation_chose(folder: Path) -> None:
    """The scores of the reloaded checkpoint are those that training logged for its one epoch."""
    result = json.loads(cell(folder, "ours").read_text())
    ((epoch, valid, test),) = result["curve"]
    assert epoch == 1
    assert result["valid"]["scores"]["mae"] == pytest.approx(valid, rel=1e-5)
    assert result["test"]["scores"]["mae"] == pytest.approx(test, rel=1e-5)
    assert result["test_selected"] == test
    kept = sorted(path.name for path in Path(result["run"]).iterdir())
    assert kept == ["checkpoint_best.pt", "run.json", "train.jsonl"]


def test_a_grid_is_decided_on_validation(folder: Path) -> None:
    result = json.loads(cell(folder, "forest").read_text())
    assert [one["numbers"] for one in result["tried"]] == [{"n_estimators": 1}, {"n_estimators": 8}]
    best = min(result["tried"], key=lambda one: one["valid"])
    assert result["chosen"] == best["numbers"]
    assert result["valid"]["scores"]["mae"] == best["valid"]


def test_a_failure_is_told_and_the_others_go_on(folder: Path) -> None:
    said = (folder / "said").read_text()
    log = folder / "out" / "logs" / "chains" / "broken" / "4.log"
    assert re.search(r"failed: bad cannot be built: .*chains.csv.*'no such column'", said)
    assert re.search(r"failed: chains / broken / seed 4: .*--no-such-flag", said)
    assert f"log: {log}" in said
    assert "--no-such-flag" in log.read_text()
    with (folder / "out" / "scores.csv").open() as stream:
        rows = {row["model"]: row for row in csv.DictReader(stream) if row["set"] == "chains"}
    assert {model: row["status"] for model, row in rows.items()} == {
        "ours": "done",
        "forest": "done",
        "broken": "failed",
    }
    assert float(rows["forest"]["test"]) == pytest.approx(
        json.loads(cell(folder, "forest").read_text())["test"]["scores"]["mae"], rel=1e-5
    )


@pytest.mark.long
def test_only_what_is_unfinished_runs_again(folder: Path) -> None:
    """A good cell stays as it is; a half-written one and one of other settings are run again."""
    before = cell(folder, "forest").read_bytes()
    again = bench(folder, "--models", "forest")
    assert "1 cells, 1 finished before, 0 to run" in again.output
    assert cell(folder, "forest").read_bytes() == before
    cell(folder, "forest").write_bytes(before[: len(before) // 2])
    assert "1 cells, 0 finished before, 1 to run" in bench(folder, "--models", "forest").output
    repeated = json.loads(cell(folder, "forest").read_text())
    assert repeated["test"] == json.loads(before)["test"]
    (folder / "b.toml").write_text(CONFIG.replace("[1, 8]", "[2]"))
    assert "0 finished before, 1 to run" in bench(folder, "--models", "forest").output
    assert json.loads(cell(folder, "forest").read_text())["chosen"] == {"n_estimators": 2}


def test_table_and_page_can_be_made_again(folder: Path) -> None:
    out = folder / "out"
    (out / "report.html").unlink()
    (folder / "chains.csv").rename(folder / "moved.csv")
    done = bench(folder, "--report-only")
    (folder / "moved.csv").rename(folder / "chains.csv")
    assert done.exit_code == 0, done.output
    table, page = (out / "table.md").read_text(), (out / "report.html").read_text()
    assert "| chains | mae ↓ | 6 | 1 |" in table
    assert re.search(r"\| chains \| ours \| forest \| [+-][\d.]+ \| [+-][\d.]+ to [+-][\d.]+ \|", table)
    assert "| chains | broken | 4 |" in table
    assert "| chains | 0 | 0 | 0 | 0 | 0 | 0 |" in table  # no molecule and no scaffold of test in other parts
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png;base64,") == 4  # an overview and a set, light and dark
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--models", "tree"], "--models tree: there is no such name; choose from ours, forest, broken"),
        (["--checkpoint", "ours"], "--checkpoint 'ours': write it as NAME=FILE"),
        (["--data", "/nowhere"], "/nowhere/chains.csv does not exist"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(folder / "b.toml"), "--out", str(folder / "out"), *words])
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip()
    assert told in said
    assert said.count("\n") == 0


def test_a_report_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "b.toml", "--out", str(tmp_path), "--report-only"])
    assert "plan.json cannot be read: give the --out of a comparison that was run" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes in Linux's /proc")
def test_sigterm_ends_the_build_of_a_store_too(tmp_path: Path) -> None:
    """Workers of a build end with its bench; finished rows stay for the next one."""
    rows = "".join(f"{'C' * 30}{'O' * (n % 3)}N{'C' * (n % 50)},{n},train\n" for n in range(4000))
    (tmp_path / "chains.csv").write_text(f"smiles,carbons,part\n{rows}")
    (tmp_path / "b.toml").write_text(CONFIG.replace('conformers = "none"', "conformers = 1"))
    command = [sys.executable, "-m", "moleblend_plugin.cli.main", "bench", str(tmp_path / "b.toml")]
    pipe = subprocess.PIPE
    process = subprocess.Popen([*command, "--out", str(tmp_path / "out")], stdout=pipe, stderr=pipe)
    try:
        wait_for_children(process.pid)
        time.sleep(1)  # into its work
        workers = wait_for_children(process.pid)
        process.terminate()
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    until = time.monotonic() + 30  # Python's own helper process ends a moment after us
    while (left := [pid for pid in workers if Path(f"/proc/{pid}").exists()]) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left


def wait_for_children(pid: int) -> list[str]:
    for _ in range(600):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("no build within a minute")
