"""Seconds of a cell: those of earlier starts are added, and of processes that still run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.bench.run import usage
from moleblend_plugin.bench.run.features import kept
from moleblend_plugin.bench.run.groups import apart
from moleblend_plugin.bench.run.usage import MADE, Tally, cpu_seconds
from moleblend_plugin.bench.spec.cell_spec import Cell

SPEND = "import time\nwhile time.process_time() < {}: pass\n"


def make_cell(out: Path, **other: Any) -> Cell:
    given = {"kind": "ecfp4-rf", "metric": "rmse", "stored": {}, "options": {"grid": {}}} | other
    return Cell(out=str(out), stores="", set="s", model="m", seed=0, **given)


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    MADE.clear()


def test_an_interrupted_start_is_added(tmp_path: Path) -> None:
    cell = make_cell(tmp_path)
    path = cell.log.with_suffix(".used.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"hash": cell.hash, "seconds": 100.0, "cpu_seconds": 5000.0, "made": ["x"]}))
    tally = Tally(cell)
    used = tally.used()
    assert 100.0 <= used.seconds < 200.0
    assert used.cpu_seconds == pytest.approx(5000.0 + cpu_seconds(), abs=5.0)
    assert {"x"} == MADE
    tally.end(finished=False)
    assert json.loads(path.read_text())["cpu_seconds"] >= used.cpu_seconds
    other = Tally(make_cell(tmp_path, metric="mae")).used()  # other settings: another cell
    assert other.cpu_seconds < 5000.0
    Tally(cell).end(finished=True)
    assert not path.exists()


def test_half_a_tally_is_none(tmp_path: Path) -> None:
    cell = make_cell(tmp_path)
    path = cell.log.with_suffix(".used.json")
    path.parent.mkdir(parents=True)
    path.write_text('{"hash": "' + cell.hash)
    assert Tally(cell).used().seconds < 100.0


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="reads Linux's /proc")
def test_a_process_that_still_runs_counts() -> None:
    """A group whose head waits for a child that has used half a second and goes on."""
    head = (
        "import subprocess, sys, time\n"
        "from moleblend_plugin.bench.run import usage\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SPEND.format(0.5)!r} + 'print(1, flush=True)\\n'"
        " + 'time.sleep(60)'], stdout=subprocess.PIPE)\n"
        "child.stdout.read(1)\n"
        "before, counted = usage.cpu_seconds(), usage._group_cpu_seconds()\n"
        "child.kill()\n"
        "print(counted - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", head], capture_output=True, text=True, **apart())
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.4


def test_what_others_made_is_counted_and_what_this_cell_made_is_not(tmp_path: Path) -> None:
    def make() -> Any:
        start = cpu_seconds()
        while cpu_seconds() < start + 0.1:
            pass
        return [[1.0]]

    first = kept(tmp_path, "x", ["a"], make)
    again = kept(tmp_path, "x", ["a"], make)
    assert (first.kept_cpu_seconds, again.kept_cpu_seconds) == (0.0, 0.0)
    MADE.clear()  # as in the process of another cell
    other = kept(tmp_path, "x", ["a"], make)
    assert other.kept_cpu_seconds > 0.05  # ticks of 10 ms
    assert other.values.tolist() == [[1.0]]
    assert set() == usage.MADE
