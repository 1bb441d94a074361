"""The same command under Uni-Core's own trainer, in subprocesses, where it is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.runs.launch import has_unicore
from tests.trainer.conftest import CHOICES

ROOT = Path(__file__).parents[2]
UNICORE = [sys.executable, str(ROOT / "tools" / "unicore_train_shim.py")]
EMBEDDED = [sys.executable, "-m", "moleblend_plugin.trainer.main"]

pytestmark = [
    pytest.mark.unicore,
    pytest.mark.skipif(not has_unicore(), reason="Uni-Core is not installed (it is not on PyPI)"),
]


def run(command: Any, folder: Any, *arguments: object) -> Any:
    environment = {key: value for key, value in os.environ.items() if key != "MOLEBLEND_HOST"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    fixed = ("--batch-size", 4, "--num-workers", 0, "--lr", 1e-2, "--log-interval", 1, "--log-format", "json")
    folders = ("--save-dir", folder, "--tmp-save-dir", folder / "tmp")
    argv = [str(word) for word in (*command, 100, *CHOICES, *fixed, *folders, *arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def shown(log: Any, tag: Any, *keys: object) -> Any:
    """Values of ``keys`` in the log lines of ``tag``."""
    lines = re.findall(rf"\| INFO \| {tag} \| (\{{.*\}})", log)
    return [[float(re.search(rf'"(?:{tag}_)?{key}": "([^"]+)"', line)[1]) for key in keys] for line in lines]


SETTINGS = {
    "polynomial": ("--lr-scheduler", "polynomial_decay", "--warmup-updates", 10, "--total-num-update", 150,
                   "--weight-decay", 0.01, "--clip-norm", 1, "--update-freq", 3, "--toy-reorder",
                   "--ema-decay", 0.99),
    "cosine, dropout": ("--lr-scheduler", "cosine", "--warmup-updates", 5, "--min-lr", 1e-4,
                        "--toy-dropout", 0.3, "--adam-eps", 1e-3),
}  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_both_hosts_make_the_same_100_updates(tmp_path: Path, settings: Any) -> None:
    unicore = run(UNICORE, tmp_path / "u", "--max-update", 100, *settings)
    embedded = run(EMBEDDED, tmp_path / "e", "--max-update", 100, *settings)
    assert unicore.startswith("unicore-train: running Uni-Core's own trainer")
    for tag in ("train_inner", "train", "valid"):
        keys = ("loss", "abs", "num_updates", "bsz")
        ours, theirs = shown(embedded, tag, *keys), shown(unicore, tag, *keys)
        assert len(ours) == len(theirs) >= (100 if tag == "train_inner" else 1)
        for left, right in zip(ours, theirs, strict=True):
            assert left == pytest.approx(right, rel=1e-4)
    assert shown(embedded, "train_inner", "lr") == shown(unicore, "train_inner", "lr")


@pytest.mark.parametrize(
    ("first", "second"), [(UNICORE, EMBEDDED), (EMBEDDED, UNICORE)], ids=["to ours", "to theirs"]
)
def test_a_checkpoint_of_one_host_goes_on_under_the_other(tmp_path: Path, first: Any, second: Any) -> None:
    settings = SETTINGS["polynomial"]
    straight = run(second, tmp_path / "straight", "--max-update", 40, *settings)
    run(first, tmp_path / "halves", "--max-update", 20, *settings)
    halves = run(second, tmp_path / "halves", "--max-update", 40, *settings)
    keys = ("num_updates", "loss", "lr")
    expected = shown(straight, "train_inner", *keys)[20:]
    assert len(expected) == 20
    for left, right in zip(shown(halves, "train_inner", *keys), expected, strict=True):
        assert left == pytest.approx(right, rel=1e-4)
