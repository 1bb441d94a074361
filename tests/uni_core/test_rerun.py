"""A run of Uni-Core is recorded and repeated by Uni-Core."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from tests.trainers import ROOT, UNICORE, last_state, needs_unicore, train

pytestmark = needs_unicore


def test_a_run_of_uni_core_is_repeated_to_the_last_bit(data: Path, tmp_path: Path) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    train(UNICORE, data, run, "--max-update", 3)
    record = json.loads((run / "run.json").read_text())
    assert record["host"] == "unicore"
    assert set(record["stores"]) == {"train", "valid"}
    assert len(record["starts"]) == 1
    argv = [sys.executable, "-m", "moleblend_plugin.cli.main", "rerun", str(run), "--save-dir", str(again)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "running Uni-Core's own trainer" in done.stdout
    left, right = last_state(run)["model"], last_state(again)["model"]
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert json.loads((again / "run.json").read_text())["settings"]["save_dir"] == str(again)
