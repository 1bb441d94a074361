"""Example 60: its scripts are right to the shell, their options exist, and SLURM's variables make one run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from moleblend_plugin.trainer.command.options import parse_options
from tests.tasks.test_pretrain import write_stores
from tests.trainer.conftest import Run

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "60_two_nodes"
SCRIPTS = ("run_torchrun.sh", "run_elastic.sh", "run_slurm.sbatch")


def words_of(script: str) -> list[str]:
    """Words of the command that a script ends in."""
    text = (FOLDER / script).read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"^exec (.*)$", text, re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_right_to_the_shell_and_its_options_exist(script: str, tmp_path: Path) -> None:
    subprocess.run(["bash", "-n", FOLDER / script], check=True)
    words = words_of(script)
    start = words.index("moleblend_plugin.trainer.main") + 1
    folders = {"$data": str(tmp_path), "$save_dir": str(tmp_path / "run")}
    args = parse_options([folders.get(word, word) for word in words[start:] if word != "$@"])
    assert (args.task, args.save_interval_updates) == ("moleblend_pretrain", 1000)
    refused = subprocess.run(["bash", FOLDER / script, "1"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.startswith("usage: ")
    assert refused.stderr.count("\n") == 1


def test_the_options_of_torchrun_exist() -> None:
    from torch.distributed.run import get_args_parser

    for script in SCRIPTS[:2]:
        words = words_of(script)
        mine = words[2 : words.index("moleblend_plugin.trainer.main") + 1]
        mine = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word.replace("$node_rank", "0")) for word in mine]
        get_args_parser().parse_args(mine[1:])  # after "-m torch.distributed.run"


SRUN = """#!{python}
import os, subprocess, sys
tasks = [
    subprocess.Popen(sys.argv[2:], env=os.environ | {{
        "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task), "SLURM_NODEID": "0", "SLURM_STEP_ID": "0",
    }})
    for task in range(2)
]
sys.exit(max(task.wait() for task in tasks))
"""


@pytest.mark.long
def test_the_script_for_slurm_makes_one_run_of_its_tasks(tmp_path: Path) -> None:
    """By a srun of two tasks on this machine that sets what SLURM sets."""
    (folder := tmp_path / "bin").mkdir()
    scripts = {"srun": SRUN.format(python=sys.executable), "scontrol": "#!/bin/sh\necho 127.0.0.1\n"}
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    data = write_stores(tmp_path, {"train": [3 + number % 9 for number in range(16)], "valid": [4, 6]})
    slurm = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NODELIST": "here", "SLURM_NODELIST": "127.0.0.1"}
    slurm |= {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1"}
    given = {key: value for key, value in os.environ.items() if key not in ("MASTER_ADDR", "MOLEBLEND_HOST")}
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", FOLDER / "run_slurm.sbatch", data, tmp_path / "run", "--cpu", "--batch-size", "4",
         "--max-epoch", "1", "--num-workers", "0"],
        env=given | slurm | {"PATH": path, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = Run(0, tmp_path / "run", done.stdout, done.stderr)
    assert run.state()["optimizer_history"][-1]["num_updates"] == 2
    assert "2 process(es) on cpu" in done.stdout
