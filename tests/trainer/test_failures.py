"""What goes wrong ends in one clear line."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.runs import detect
from tests.trainer.same import assert_same
from tests.trainer.test_resume import comparable


def test_no_samples_are_named(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 1, data=0)
    assert run.code == 2
    assert "split 'train' holds no samples" in run.err


def test_folder_that_cannot_be_written(train: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = train("--max-epoch", 1, "--save-dir", tmp_path / "file")
    assert run.code == 2
    assert run.err.startswith("error: --save-dir")


def test_damaged_checkpoint_is_named(train: Callable[..., Any]) -> None:
    run = train("--max-update", 2)
    path = run.folder / "checkpoint_last.pt"
    path.write_bytes(path.read_bytes()[:300])
    again = train("--max-update", 4)
    assert again.code == 2
    assert "checkpoint_last.pt' is damaged" in again.err


def test_interruption_has_its_own_code(train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    train("--max-update", 1, into="first")
    from toy_plugin import ToyLoss

    def interrupt(self: Any, model: Any, sample: Any, reduce: bool = True) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyLoss, "forward", interrupt)
    run = train("--max-update", 1)
    assert run.code == 130
    assert run.err == "interrupted: run the same command again to resume from the last checkpoint\n"


def test_asking_for_the_other_host_is_refused(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOLEBLEND_HOST", "unicore")
    assert "MOLEBLEND_HOST=unicore contradicts" in train("--max-update", 1).err


def test_the_trainer_says_that_it_is_in_charge(train: Callable[..., Any]) -> None:
    train("--max-update", 1)
    assert detect.trainer_in_charge() == "embedded"


def test_tensorboard_files_and_its_absence(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    train("--max-epoch", 1, "--tensorboard-logdir", tmp_path / "board")
    assert sorted(path.name for path in (tmp_path / "board").iterdir()) == ["train", "train_inner", "valid"]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run = train("--max-epoch", 1, "--tensorboard-logdir", tmp_path / "none", into="other")
    assert run.code == 2
    assert "pip install tensorboard" in run.err


def test_a_damaged_last_checkpoint_names_the_newest_intact_one(train: Callable[..., Any]) -> None:
    """By its updates: the clock was set back before the last ones were written."""
    run = train("--max-update", 9, "--save-interval-updates", 2, "--disable-validation")
    for age, name in enumerate(["checkpoint_1_8.pt", "checkpoint_1_6.pt", "checkpoint_1_4.pt"]):
        os.utime(run.folder / name, (age, age))
    for name in ("checkpoint_last.pt", "checkpoint_1_8.pt"):
        path = run.folder / name
        content = path.read_bytes()
        path.unlink()  # names may share their bytes
        path.write_bytes(content[: len(content) // 2])
    again = train("--max-update", 12)
    assert again.code == 2
    assert again.err.count("\n") == 1
    assert "checkpoint_last.pt' is damaged" in again.err
    other = run.folder / "checkpoint_1_6.pt"
    assert again.err.endswith(f"the newest intact one is {other}: resume with --restore-file {other}\n")
    assert train("--max-update", 12, "--restore-file", other).code == 0


def test_a_clock_that_is_set_back_changes_nothing(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days earlier at every look: what is last, what is pruned and how long the run took stay as they are."""
    options = ("--save-interval-updates", 2, "--keep-interval-updates", 2, "--stop-time-hours", 0.5)
    straight = train(*options, "--max-update", 9, into="straight")
    days = iter(range(10**9, 0, -86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(days)))
    train(*options, "--max-update", 5, into="parts")
    parts = train(*options, "--max-update", 9, into="parts")
    assert (straight.code, parts.code) == (0, 0)
    assert parts.names() == straight.names()
    assert_same(comparable(parts.state()), comparable(straight.state()))
    assert parts.state()["extra_state"]["previous_training_time"] < 1000
