"""Silent faults of Uni-Core that the task refuses or repairs, shown under Uni-Core's own trainer."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest
import torch

from tests.tasks.test_pretrain import write_stores
from tests.trainers import ROOT, UNICORE, launch, logged, needs_unicore, train

pytestmark = needs_unicore

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "the run has no end: give --max-epoch or --max-update"),
        (["--max-epoch", 1, "--no-epoch-checkpoints"], "nothing would be saved or validated"),
        (["--max-update", 1, "--best-checkpoint-metric", "mae"], "'mae' is not logged in validation: choose"),
        (
            ["--max-update", 1, "--finetune-from-model", "WEIGHTS"],
            "no weight would be loaded: the checkpoint",
        ),
    ],
    ids=["no end", "nothing saved", "unknown metric", "nothing loaded"],
)
def test_a_mistake_ends_in_one_line(data: Path, tmp_path: Path, arguments: list[object], named: str) -> None:
    torch.save({"model": {"strange": torch.ones(1)}}, tmp_path / "weights.pt")
    words = [tmp_path / "weights.pt" if word == "WEIGHTS" else word for word in arguments]
    done = launch(UNICORE, data, tmp_path / "run", *words)
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert "train_inner" not in done.stdout


def test_finetuning_that_uni_core_would_ignore(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    state = {"model": {}, "optimizer_history": [], "extra_state": {}, "args": argparse.Namespace()}
    for path in (tmp_path / "weights.pt", tmp_path / "run" / "checkpoint_last.pt"):
        torch.save(state, path)
    words = ["--max-update", 1, "--finetune-from-model", tmp_path / "weights.pt"]
    done = launch(UNICORE, data, tmp_path / "run", *words)
    assert done.returncode == 2
    assert "would be ignored" in done.stderr


def test_checkpoints_are_not_prepared_in_the_working_directory(data: Path, tmp_path: Path) -> None:
    log = train(UNICORE, data, tmp_path / "run", "--max-update", 1, "--tmp-save-dir", "./")
    assert f"checkpoints are prepared in {tmp_path / 'run' / 'tmp'} instead" in log
    assert (tmp_path / "run" / "checkpoint_last.pt").is_file()
    assert list(ROOT.glob("*.pt*")) == []


def test_an_update_that_would_end_in_an_empty_batch_counts_every_molecule(tmp_path: Path) -> None:
    """12 molecules in batches of 4 for 2 processes: 3 batches, and Uni-Core would count 8 molecules (W2)."""
    folder = write_stores(tmp_path, {"train": [3 + i % 5 for i in range(12)], "valid": [4, 5]})
    flags = ["--batch-size", 4, "--update-freq", 2, "--max-epoch", 1, "--distributed-backend", "gloo",
             "--ddp-backend", "no_c10d", "--disable-validation"]  # fmt: skip
    log = train([*TORCHRUN, UNICORE[1]], folder, tmp_path / "run", *flags)
    assert [update["bsz"] for update in logged(log, "train_inner")] == [12]
