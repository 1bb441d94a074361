"""kill -9 at random moments of a build on a cluster: of workers, of processes of pieces, of the command."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin import build
from tests.building.pieces import assert_equal_builds, write_table

ROWS = 3000


def command(table: Path, out: Path) -> list[str]:
    words = [sys.executable, "-m", "moleblend_plugin", "build", table, "--out", out, "--conformers", "none"]
    return [str(word) for word in (*words, "--target-columns", "y", "--cluster", "local:2", "--pieces", 6)]


@pytest.mark.long
def test_kill_9_at_random_moments_of_a_build_on_a_cluster(tmp_path: Path, rounds: int) -> None:
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    psutil = pytest.importorskip("psutil", reason="comes with distributed")
    table = write_table(tmp_path / "a.csv", ROWS)
    build(table, tmp_path / "one", conformers=None, target_columns="y", workers=1)
    rng, counts, seen, run = random.Random(7), Counter[str](), {}, 0
    while counts.total() < rounds:
        run += 1
        out, code = tmp_path / f"out{run}", -1
        while code != 0:
            with (tmp_path / "errors").open("w") as errors:
                running = subprocess.Popen(command(table, out), stdout=errors, stderr=errors)
                while running.poll() is None:
                    time.sleep(rng.uniform(0.5, 3.0))
                    below = psutil.Process(running.pid).children(recursive=True)
                    seen |= {process.pid: process for process in below}
                    if counts.total() < rounds and below:
                        counts[kill_one(rng, running, below)] += 1
                code = running.wait()
            assert code in (0, 2, -9), (tmp_path / "errors").read_text()
        assert_equal_builds(tmp_path / "one", out)
    gone, there = psutil.wait_procs(seen.values(), timeout=30)
    assert (there, bool(gone)) == ([], True)
    print(f"\nkill -9 of a cluster: {dict(counts)} in {run} builds")


def kill_one(rng: random.Random, running: subprocess.Popen[bytes], below: list[Any]) -> str:
    """Kill the command (with its scheduler), one of its workers, or the process of a piece; what it was."""
    pieces = [process for process in below if "cluster.child" in " ".join(words_of(process))]
    workers = [process for process in below if process.ppid() == running.pid and process not in pieces]
    what = rng.choice(["command", "worker", "piece"])
    chosen = {"worker": workers, "piece": pieces}.get(what) or [running]
    rng.choice(chosen).kill()
    return what if chosen != [running] else "command"


def words_of(process: Any) -> list[str]:
    """Its command line; [] where it has just ended."""
    try:
        words: list[str] = process.cmdline()
    except Exception as error:
        if type(error).__name__ not in ("NoSuchProcess", "ZombieProcess"):
            raise
        return []
    return words
