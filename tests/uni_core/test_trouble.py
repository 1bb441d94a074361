"""Trouble under Uni-Core's own trainer, handled as the embedded trainer handles it."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.data.store.writer import StoreWriter
from moleblend_plugin.runs.run_lock import holding_run
from moleblend_plugin.trainer.checkpoints.file import read_checkpoint
from tests.molecules import make_record
from tests.trainers import EMBEDDED, NO_DROPOUT, TORCHRUN, UNICORE, last_state, launch, logged, needs_unicore
from tests.uni_core.conftest import distance

pytestmark = needs_unicore

BAD = 9
"""The molecule whose gradient is not finite."""
PLUGIN = f"""
from typing import Any

from moleblend_plugin.host import register_loss
from moleblend_plugin.tasks.pretrain.loss import MoleblendPretrainLoss


@register_loss("pretrain_but_one")
class PretrainButOne(MoleblendPretrainLoss):
    def forward(self, *given: Any, **named: Any) -> Any:
        loss, *others = super().forward(*given, **named)
        sample = given[1] if len(given) > 1 else named["sample"]
        if self.training and {BAD} in sample["index"]:
            loss = loss + (loss - loss.detach()).sqrt()  # of 0, where the slope is infinite
        return loss, *others
"""
DISK = "20m"
SIZES = [3 + number % 9 for number in range(24)]


@dataclass(frozen=True)
class Broken:
    """24 molecules in 3 batches of 8, and a user's plugin to which one of them is poison."""

    data: Path
    plugin: Path

    def train(self, command: list[str], save_dir: Path, *arguments: object) -> Any:
        """Run a trainer with it."""
        user_dir = ("--user-dir", self.plugin)
        return launch(
            command, self.data, save_dir, *arguments, "--loss", "pretrain_but_one", user_dir=user_dir
        )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Broken:
    folder = tmp_path_factory.mktemp("broken")
    for split, sizes in (("train", SIZES), ("valid", [4, 6])):
        with StoreWriter(folder / f"{split}.lmdb", settings={}, sources={}, split=split) as writer:
            for number, size in enumerate(sizes):
                writer.add(make_record(size, number))
    plugin = folder / "one_is_poison"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(PLUGIN, encoding="utf-8")
    return Broken(folder, plugin)


def bad_updates(folder: Path) -> Any:
    return [json.loads(line) for line in (folder / "bad_updates.jsonl").read_text().splitlines()]


def updates_of(path: Path) -> int:
    return int(read_checkpoint(path)["optimizer_history"][-1]["num_updates"])


def test_an_update_that_is_not_finite_is_skipped_and_named_as_by_the_embedded_trainer(
    broken: Broken, tmp_path: Path
) -> None:
    """Uni-Core itself prints all gradients and ends the run."""
    settings = [*NO_DROPOUT, "--adam-eps", "1e-5", "--ema-decay", "0.9", "--max-epoch", 2]
    theirs, ours = (
        broken.train(host, tmp_path / name, *settings) for host, name in ((UNICORE, "u"), (EMBEDDED, "e"))
    )
    assert (theirs.returncode, ours.returncode) == (0, 0), theirs.stderr[-2000:] + ours.stderr[-2000:]
    (told, _) = bad_updates(tmp_path / "u")  # one in each of two epochs
    assert bad_updates(tmp_path / "u") == bad_updates(tmp_path / "e")
    assert f"made:{BAD}" in told["row_ids"]
    assert len(told["row_ids"]) == len(told["indices"]) == 8
    assert told["where"].startswith("the gradient of ")  # then a parameter
    line = "loss or gradients are not finite at update "
    assert [sum(line in part for part in done.stdout.splitlines()) for done in (theirs, ours)] == [2, 2]
    for left, right in zip(
        logged(theirs.stdout, "train_inner"), logged(ours.stdout, "train_inner"), strict=True
    ):
        for key in ("num_updates", "loss", "lr"):
            assert left[key] == pytest.approx(right[key], rel=1e-4)
        assert left.get("bad_updates") == right.get("bad_updates")
    states = [last_state(tmp_path / name) for name in "ue"]
    assert distance(states[0]["model"], states[1]["model"]) < 1e-4
    assert distance(states[0]["ema"]["params"], states[1]["ema"]["params"]) < 1e-4


def test_two_processes_skip_together_and_too_many_end_the_run_in_a_line(
    broken: Broken, tmp_path: Path
) -> None:
    """The molecule is in a batch of one process; with --max-bad-updates 1 both end."""
    command = [*TORCHRUN, "2", *UNICORE[1:]]
    gloo = ["--distributed-backend", "gloo", "--ddp-backend", "no_c10d", "--batch-size", 4]
    done = broken.train(command, tmp_path, *gloo, "--max-epoch", 1, "--max-bad-updates", 1)
    assert done.returncode != 0
    (told,) = bad_updates(tmp_path)
    assert len(told["indices"]) == 8
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 2  # each process says so, and the first one where the rows are
    assert sum(f"; rows: {tmp_path / 'bad_updates.jsonl'}; " in line for line in lines) == 1
    assert all("not finite at update 1, first in the gradient of " in line for line in lines)
    assert all("--max-bad-updates says how many updates in a row may be skipped" in line for line in lines)
    assert "FloatingPointError" not in done.stderr


def test_compile_without_a_compiler_is_refused_at_the_start(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    done = launch(UNICORE, data, tmp_path / "run", "--compile", "--max-update", 1)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: --compile needs a C++ compiler, and CXX=/nowhere/c++ is not there")
    assert "Traceback" not in done.stderr


def test_a_folder_in_which_the_embedded_trainer_works_is_refused(data: Path, tmp_path: Path) -> None:
    """And the other way round: both take the same lock (``runs/test_run_lock.py``)."""
    run = Namespace(save_dir=str(tmp_path / "run"), no_save=False)
    with holding_run(run, is_first=True):
        done = launch(UNICORE, data, tmp_path / "run", "--max-update", 1)
    assert done.returncode == 2
    assert f"error: another training writes to --save-dir {tmp_path / 'run'} (host " in done.stderr
    assert list((tmp_path / "run").glob("*.pt")) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs Linux and root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_run_in_a_line_and_keeps_the_checkpoints(data: Path, small_disk: Path) -> None:
    """Uni-Core itself logs that the copy failed, loses the earlier file and ends with exit code 0."""
    settings = ["--max-update", 8, "--save-interval-updates", 1, "--disable-validation"]
    done = launch(UNICORE, data, small_disk, *settings)
    assert done.returncode == 2, done.stdout[-3000:] + done.stderr[-2000:]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: cannot write ")
    assert "No space left on device): earlier checkpoints are as they were; make room or choose" in line
    updates = [
        read_checkpoint(path)["optimizer_history"][-1]["num_updates"] for path in small_disk.glob("*.pt")
    ]
    assert last_state(small_disk)["optimizer_history"][-1]["num_updates"] == max(updates) >= 1
    assert list(small_disk.rglob("*.tmp")) == []
