"""What every command does first: threads, streams, and one line for what a name may hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from moleblend_plugin import entry
from tests.labelled import fit, regression_tables, write_labelled

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")


def in_fresh_process(code: str, **given: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    environment = kept | {"PYTHONPATH": str(ROOT)} | given
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


SEEN = "import os, sys; print(os.environ.get('OMP_WAIT_POLICY'), 'torch' in sys.modules)"
DOORS = {
    "command": "from moleblend_plugin.cli.main import begin; begin()",
    "training": "from moleblend_plugin.trainer.main import begin; begin()",
    "estimator": "import sys, types, moleblend_plugin\n"
    "fake = sys.modules['moleblend_plugin.estimator'] = types.ModuleType('e')\n"
    "fake.MoleblendRegressor = 1\n"
    "moleblend_plugin.MoleblendRegressor",
}


@pytest.mark.parametrize("door", DOORS)
def test_idle_threads_sleep_before_torch_is_loaded(door: str) -> None:
    code = DOORS[door]
    assert in_fresh_process(f"{code}\n{SEEN}") == ["PASSIVE", "False"]
    assert in_fresh_process(f"{code}\n{SEEN}", OMP_WAIT_POLICY="ACTIVE") == ["ACTIVE", "False"]


def test_a_plain_import_changes_nothing() -> None:
    assert in_fresh_process(f"import moleblend_plugin\n{SEEN}") == ["None", "False"]


@pytest.mark.parametrize(
    ("weights", "processes", "threads"), [(1_000, 1, 1), (10**8, 1, 8), (10**8, 3, 2), (10**8, 99, 1)]
)
def test_threads_follow_from_network_and_machine(
    weights: int, processes: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(entry, "usable_cores", lambda: 8)
    assert entry.threads_for(weights, processes) == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert entry.threads_for(weights, processes) is None


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({}, 99),
        ({"cpu.max": "max 100000\n"}, 99),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 99),
    ],
)
def test_a_containers_quota_counts(
    files: dict[str, str], most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(99), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert entry.usable_cores(tmp_path) == most


def test_a_fit_takes_one_thread_for_a_small_network_and_gives_the_others_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moleblend_plugin.tasks.property.loss import PropertyLoss

    plain, seen = PropertyLoss.forward, []
    monkeypatch.setattr(
        PropertyLoss, "forward", lambda *a, **k: seen.append(torch.get_num_threads()) or plain(*a, **k)
    )
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    write_labelled(tmp_path, regression_tables(8, 4))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        fit(tmp_path, tmp_path / "run", "--max-epoch", 1)
        assert (set(seen), torch.get_num_threads()) == ({1}, 3)
    finally:
        torch.set_num_threads(before)


def test_one_line() -> None:
    assert entry.one_line("µ [a]\n\x1b[31m") == r"µ [a]\n\x1b[31m"


@pytest.mark.parametrize("thread", ["", "import threading; threading.Thread(target=lambda: None).start()\n"])
def test_a_command_leaves_with_its_code_after_what_is_due_at_the_end(thread: str) -> None:
    code = "import atexit, sys\nfrom moleblend_plugin.entry import begin, leave\nbegin()\n" + thread
    code += "atexit.register(print, 'done')\nsys.stdout.write('result ')\nleave(3)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "result done\n", "")
