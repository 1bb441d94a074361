"""Runs a trainer the way a user does, in a subprocess, and reads its log."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from moleblend_plugin.runs.launch import has_unicore
from moleblend_plugin.trainer.checkpoints.file import State, read_checkpoint

ROOT = Path(__file__).resolve().parents[1]
UNICORE = [sys.executable, str(ROOT / "tools" / "unicore_train_shim.py")]
EMBEDDED = [sys.executable, "-m", "moleblend_plugin.trainer.main"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
PRETRAIN = (
    *("--task", "moleblend_pretrain", "--loss", "moleblend_pretrain"),
    *("--arch", "moleblend_tiny", "--optimizer", "adam", "--lr", "1e-3", "--clip-norm", "5"),
    *("--batch-size", "8", "--num-workers", "0", "--log-interval", "1", "--log-format", "json"),
)
TIMEOUT = 300
"""Seconds for one training."""
LOADED = multiprocessing.get_context("forkserver")
LOADED.set_forkserver_preload(["torch", "torch._dynamo", "lightning_fabric", "numba", "lmdb"])
USER_DIR = ("--user-dir", "moleblend_plugin")
NO_DROPOUT = ["--attention-dropout", "0", "--activation-dropout", "0"]


needs_unicore = [
    pytest.mark.unicore,
    pytest.mark.skipif(not has_unicore(), reason="Uni-Core is not installed (it is not on PyPI)"),
]


def launch(
    command: list[str],
    data: Path,
    save_dir: Path,
    *arguments: object,
    user_dir: tuple[object, ...] = USER_DIR,
) -> subprocess.CompletedProcess[str]:
    """Run a trainer on a folder of stores; one thread, ``MOLEBLEND_HOST`` unset."""
    environment = {key: value for key, value in os.environ.items() if key != "MOLEBLEND_HOST"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    folders = ["--save-dir", save_dir, "--tmp-save-dir", save_dir / "tmp"]
    words = [str(word) for word in (data, *user_dir, *PRETRAIN, *folders, *arguments)]
    if command == EMBEDDED:
        return _forked(words, environment)
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, env=environment, cwd=ROOT, timeout=TIMEOUT
    )


def _forked(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """``moleblend-train`` in a process of its own, whose libraries (none of ours) are loaded already.

    Dozens of tests start it, and loading PyTorch takes longer than most of their trainings.
    """
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("out", "err")]
        process = LOADED.Process(target=_train_in_child, args=(words, environment, streams))
        process.start()
        process.join(TIMEOUT)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(words, TIMEOUT)
        out, err = (stream.read_text(encoding="utf-8") for stream in streams)
    assert process.exitcode is not None
    return subprocess.CompletedProcess(words, process.exitcode, out, err)


def _train_in_child(words: list[str], environment: dict[str, str], streams: list[Path]) -> None:
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  the process's own
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    multiprocessing.set_start_method(None, force=True)  # its own workers begin as ever
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = ["moleblend-train", *words]
    from moleblend_plugin.trainer.main import main

    code = main()
    sys.stdout.flush()
    sys.exit(code)


def train(
    command: list[str],
    data: Path,
    save_dir: Path,
    *arguments: object,
    user_dir: tuple[object, ...] = USER_DIR,
) -> str:
    """The same, and it must succeed; gives what it printed on standard output."""
    done = launch(command, data, save_dir, *arguments, user_dir=user_dir)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def logged(log: str, tag: str) -> list[dict[str, float]]:
    """Numbers of every JSON log line of ``tag`` ("train_inner", "train", "valid"), keys without the tag."""
    lines = re.findall(rf"\| INFO \| {tag} \| (\{{.*\}})", log)
    return [
        {key.removeprefix(f"{tag}_"): float(value) for key, value in json.loads(line).items()}
        for line in lines
    ]


def last_state(save_dir: Path) -> State:
    """The last checkpoint of a run of either host."""
    return read_checkpoint(save_dir / "checkpoint_last.pt")
