"""Several processes give the numbers of one, and the loss of one ends all."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.conftest import CHOICES, Run

COMMAND = [sys.executable, "-m", "moleblend_plugin.trainer.main"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
            "-m", "moleblend_plugin.trainer.main"]  # fmt: skip


def start(
    folder: Path,
    *arguments: Path | float | str,
    command: list[str] = COMMAND,
    data: int = 40,
    **more: int | str,
) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key != "MOLEBLEND_HOST"}
    environment |= {"OMP_NUM_THREADS": "1"} | {name: str(value) for name, value in more.items()}
    fixed = ("--cpu", "--batch-size", 4, "--num-workers", 0, "--lr", 1e-2, "--log-interval", 1)
    argv = [str(word) for word in (*command, data, *CHOICES, *fixed, "--save-dir", folder, *arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=environment)


def end(process: subprocess.Popen[str], folder: Path | None = None, timeout: int = 120) -> Run:
    """Wait for a process; one that hangs is killed."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Run(process.returncode, folder, out, err)


def run(folder: Path, *arguments: Path | float | str, **more: int | list[str]) -> Run:
    return end(start(folder, *arguments, **more), folder)


def assert_same_run(one: Run, many: Run, updates: int, validations: int) -> None:
    for kind, count, keys in (
        ("train_inner", updates, ("loss", "bsz", "gnorm", "lr")),
        ("valid", validations, ("loss", "bsz", "abs")),
    ):
        assert len(one.events(kind)) == len(many.events(kind)) == count
        for left, right in zip(many.events(kind), one.events(kind), strict=True):
            assert [left[key] for key in keys] == pytest.approx([right[key] for key in keys], rel=1e-5)
    for name, value in one.state()["model"].items():
        torch.testing.assert_close(many.state()["model"][name], value, rtol=1e-5, atol=1e-6)


# 36 samples: 9 batches, so the second process has none left at the end of an epoch.
@pytest.mark.parametrize(
    "command", [pytest.param(COMMAND, marks=pytest.mark.long), TORCHRUN], ids=["spawned", "torchrun"]
)
def test_two_processes_equal_two_batches_per_update(
    train: Callable[..., Any], tmp_path: Path, command: list[str]
) -> None:
    plain = ("--max-epoch", 2, "--clip-norm", 2, "--valid-subset", "valid,test")
    one = train(*plain, "--update-freq", 2, data=36, into="one")
    two = run(tmp_path / "two", *plain, "--distributed-world-size", 2, command=command, data=36)
    assert two.code == 0, two.err
    assert_same_run(one, two, updates=10, validations=4)
    assert "2 process(es) on cpu" in two.out
    assert two.out.count("| train |") == 2


@pytest.mark.long
def test_three_processes_count_seven_molecules_once(train: Callable[..., Any], tmp_path: Path) -> None:
    """7 batches of 2 train, 7 of 1 validate: the third process has a batch less in both."""
    plain = ("--max-epoch", 2, "--batch-size", 2, "--batch-size-valid", 1)
    one = train(*plain, "--update-freq", 3, data=14, into="one")
    three = run(tmp_path / "three", *plain, "--distributed-world-size", 3, data=14)
    assert three.code == 0, three.err
    assert_same_run(one, three, updates=6, validations=2)
    assert [event["bsz"] for event in three.events("train_inner")] == [6, 6, 2] * 2
    assert [event["bsz"] for event in three.events("valid")] == [7, 7]


def test_tasks_of_srun_find_each_other(train: Callable[..., Any], tmp_path: Path) -> None:
    """The variables that srun sets for two tasks on one node."""
    plain = ("--max-epoch", 1, "--clip-norm", 2)
    one = train(*plain, "--update-freq", 2, data=36, into="one")
    job = {"SLURM_NTASKS": 2, "SLURM_NTASKS_PER_NODE": 2, "SLURM_NNODES": 1, "SLURM_NODEID": 0,
           "SLURM_NODELIST": "127.0.0.1", "SLURM_JOB_ID": os.getpid(), "SLURM_STEP_ID": 0}  # fmt: skip
    folder = tmp_path / "two"
    tasks = [start(folder, *plain, data=36, SLURM_PROCID=i, SLURM_LOCALID=i, **job) for i in range(2)]
    first, second = (end(task, folder) for task in tasks)
    assert first.code == second.code == 0, first.err + second.err
    assert_same_run(one, first, updates=5, validations=1)
    assert second.out == ""


def test_sharded_weights_go_on_as_whole_ones(train: Callable[..., Any], tmp_path: Path) -> None:
    """FSDP on CPU: weights, optimiser and average come from, and go to, checkpoints of any run."""
    plain = ("--max-epoch", 2, "--clip-norm", 2, "--weight-decay", 0.01, "--ema-decay", 0.9)
    one = train(*plain, "--update-freq", 2, data=36, into="one")
    sharded = ("--ddp-backend", "fsdp", "--restore-file", one.folder / "checkpoint1.pt")
    two = run(tmp_path / "two", *plain, *sharded, command=TORCHRUN, data=36)
    assert two.code == 0, two.err
    losses = [event["loss"] for event in one.events("train_inner")[5:]]
    assert [event["loss"] for event in two.events("train_inner")] == pytest.approx(losses, rel=1e-5)
    ours, theirs = two.state(), one.state()
    for part in ("model", "ema", "last_optimizer_state"):
        torch.testing.assert_close(ours[part], theirs[part], rtol=1e-5, atol=1e-6)


def test_sharded_weights_need_a_launcher(train: Callable[..., Any]) -> None:
    done = train("--max-epoch", 1, "--ddp-backend", "fsdp", "--distributed-world-size", 2, "--cpu")
    assert done.code == 2
    assert done.err.startswith("error: --ddp-backend fsdp needs a launcher: start the command with torchrun")


def test_a_mistake_is_told_once(tmp_path: Path) -> None:
    done = run(tmp_path, "--max-epoch", 1, "--distributed-world-size", 2, data=0)
    assert done.code == 2
    assert done.err.count("error:") == 1
    assert "error: split 'train' holds no samples" in done.err


def children(pid: int) -> list[int]:
    """Process ids of the children of a process, in the order in which they began."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until_trained(process: subprocess.Popen[str], folder: Path) -> None:
    log = folder / "train.jsonl"
    for _ in range(1800):
        assert process.poll() is None, process.communicate()
        if log.exists() and log.read_text().count("train_inner") >= 3:
            return
        time.sleep(0.1)
    raise AssertionError("no update within three minutes")


LOST = {
    "spawned": (COMMAND, ("--distributed-world-size", 2), r"error: (process 1 was ended by SIGKILL|another)"),
    "torchrun": (TORCHRUN, (), r"error: another process of this run ended or went silent \(.*\): "),
    "data worker": (COMMAND, ("--num-workers", 1), "error: a data worker ended by SIGKILL: often the memory"),
}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes in Linux's /proc")
@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        pytest.param(*case, id=name, marks=[pytest.mark.long] if name == "torchrun" else [])
        for name, case in LOST.items()
    ],
)
def test_a_lost_process_ends_the_run_with_a_message(
    tmp_path: Path, command: list[str], arguments: tuple[int | str, ...], message: str
) -> None:
    endless = ("--max-update", 10**6, "--log-format", "none")
    process = start(tmp_path, *arguments, *endless, command=command, data=40_000)
    try:
        wait_until_trained(process, tmp_path)
        os.kill(children(process.pid)[-1], signal.SIGKILL)
        done = end(process, timeout=60)
    finally:
        process.kill()
    assert done.code not in (0, None)
    assert re.search(message, done.err), done.err
    assert "run the same command again to resume from the last checkpoint" in done.err
    if command is COMMAND:
        assert "Traceback" not in done.err
