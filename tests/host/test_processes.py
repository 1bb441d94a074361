"""Several processes give the numbers of one."""

import os
import subprocess
import sys

import pytest
import torch

from tests.host.conftest import CHOICES, Run

COMMAND = [sys.executable, "-m", "moleblend_plugin.host.embedded.main"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
            "-m", "moleblend_plugin.host.embedded.main"]  # fmt: skip


def run(folder, *arguments, command=COMMAND, data=40):
    environment = {key: value for key, value in os.environ.items() if key != "MOLEBLEND_HOST"}
    environment |= {"OMP_NUM_THREADS": "1"}
    fixed = ("--cpu", "--batch-size", 4, "--num-workers", 0, "--lr", 1e-2, "--log-interval", 1)
    argv = [str(word) for word in (*command, data, *CHOICES, *fixed, "--save-dir", folder, *arguments)]
    return subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=120)


# 36 samples: 9 batches, so the second process has none left at the end of an epoch.
@pytest.mark.parametrize("command", [COMMAND, TORCHRUN], ids=["spawned", "torchrun"])
def test_two_processes_equal_two_batches_per_update(train, tmp_path, command):
    plain = ("--max-epoch", 2, "--clip-norm", 2, "--valid-subset", "valid,test")
    one = train(*plain, "--update-freq", 2, data=36, into="one")
    done = run(tmp_path / "two", *plain, "--distributed-world-size", 2, command=command, data=36)
    assert done.returncode == 0, done.stderr
    two = Run(0, tmp_path / "two", done.stdout, done.stderr)
    for kind, keys in (("train_inner", ("loss", "bsz", "gnorm", "lr")), ("valid", ("loss", "bsz", "abs"))):
        pairs = list(zip(one.events(kind), two.events(kind), strict=True))
        assert len(pairs) == (10 if kind == "train_inner" else 4)
        for single, double in pairs:
            assert [double[key] for key in keys] == pytest.approx([single[key] for key in keys], rel=1e-5)
    for name, value in one.state()["model"].items():
        torch.testing.assert_close(two.state()["model"][name], value, rtol=1e-4, atol=1e-6)
    assert "2 process(es) on cpu" in two.out
    assert two.out.count("| train |") == 2


def test_a_mistake_is_told_once(tmp_path):
    done = run(tmp_path, "--max-epoch", 1, "--distributed-world-size", 2, data=0)
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "error: split 'train' holds no samples" in done.stderr
