"""Several processes give the numbers of one."""

import json
import os
import subprocess
import sys

import pytest

from moleblend_plugin.host.embedded.checkpoint import read_checkpoint
from tests.host.conftest import CHOICES

COMMAND = [sys.executable, "-m", "moleblend_plugin.host.embedded.main"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
            "-m", "moleblend_plugin.host.embedded.main"]  # fmt: skip


def run(folder, *arguments, command=COMMAND, data=40):
    environment = {key: value for key, value in os.environ.items() if key != "MOLEBLEND_HOST"}
    environment |= {"OMP_NUM_THREADS": "1"}
    argv = [*command, data, *CHOICES, "--cpu", "--batch-size", 4, "--num-workers", 0, "--lr", 1e-2,
            "--log-interval", 1, "--save-dir", folder, *arguments]  # fmt: skip
    argv = [str(word) for word in argv]
    return subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=120)


def events(folder, kind):
    lines = (folder / "train.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


# 36 samples: 9 batches, so the second process has none left at the end of an epoch.
@pytest.mark.parametrize("command", [COMMAND, TORCHRUN], ids=["spawned", "torchrun"])
def test_two_processes_equal_two_batches_per_update(tmp_path, command):
    plain = ("--max-epoch", 2, "--clip-norm", 2, "--valid-subset", "valid,test")
    one = run(tmp_path / "one", *plain, "--update-freq", 2, data=36)
    two = run(tmp_path / "two", *plain, "--distributed-world-size", 2, command=command, data=36)
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    for kind, keys in (("train_inner", ("loss", "bsz", "gnorm", "lr")), ("valid", ("loss", "bsz", "abs"))):
        pairs = list(zip(events(tmp_path / "one", kind), events(tmp_path / "two", kind), strict=True))
        assert len(pairs) == (10 if kind == "train_inner" else 4)
        for single, double in pairs:
            assert [double[key] for key in keys] == pytest.approx([single[key] for key in keys], rel=1e-5)
    left, right = (
        read_checkpoint(tmp_path / name / "checkpoint_last.pt")["model"] for name in ("one", "two")
    )
    for name, value in left.items():
        assert right[name].flatten().tolist() == pytest.approx(value.flatten().tolist(), rel=1e-4, abs=1e-6)
    assert "2 process(es) on cpu" in two.stdout
    assert two.stdout.count("| train |") == 2


def test_a_mistake_is_told_once(tmp_path):
    done = run(tmp_path, "--max-epoch", 1, "--distributed-world-size", 2, data=0)
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "error: split 'train' holds no samples" in done.stderr
