"""kill -9 at random moments of builds and predictions on a cluster of its own: its scheduler above all."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin import build
from tests.building.pieces import assert_equal_builds, write_table
from tests.checkpoints import property_checkpoint
from tests.cluster.test_inference import run as run_command
from tests.faults.test_cluster import words_of

ROWS = 240
SHARED = ("--conformers", "none", "--pieces", 4)
KINDS = ("scheduler", "scheduler", "worker", "piece", "command")


class Cluster:
    """A scheduler and two workers, each with its nanny, as a user starts them.

    Attributes:
        file: how to find the scheduler.
        seen: every process below them so far.
    """

    def __init__(self, folder: Path, psutil: Any) -> None:
        self.folder, self.psutil = folder, psutil
        self.file = folder / "scheduler.json"
        self.seen: dict[int, Any] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start what does not run, as a service would; workers end where their scheduler is killed."""
        where = ["--scheduler-file", str(self.file)]
        if not self.lives("scheduler"):
            self.stop()
            self.file.unlink(missing_ok=True)
            self._run("scheduler", *where, "--port", "0", "--no-dashboard")
        if not self.lives("worker"):
            workers = ["--nworkers", "2", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard"]
            self._run("worker", *where, *workers, "--local-directory", str(self.folder))

    def _run(self, kind: str, *words: str) -> None:
        argv = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words]
        with (self.folder / f"{kind}.log").open("ab") as log:
            self.processes[kind] = subprocess.Popen(argv, stdout=log, stderr=log, cwd=Path.cwd())

    def lives(self, kind: str) -> bool:
        """Whether a command runs."""
        return kind in self.processes and self.processes[kind].poll() is None

    def below(self) -> list[Any]:
        """Processes below the workers' command: workers, and the processes of pieces below those."""
        if not self.lives("worker"):
            return []
        found: list[Any] = self.psutil.Process(self.processes["worker"].pid).children(recursive=True)
        self.seen |= {process.pid: process for process in found}
        return found

    def stop(self) -> None:
        """End all; a worker whose scheduler is gone may not answer."""
        below = self.below()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in self.psutil.wait_procs(below, timeout=30)[1]:
            with suppress(self.psutil.NoSuchProcess):
                process.kill()
        self.processes.clear()

    def strike(self, kind: str, command: subprocess.Popen[bytes], rng: random.Random) -> str:
        """Kill what ``kind`` says, or the command where there is none of it; what it was."""
        found = {process: " ".join(words_of(process)) for process in self.below()}
        pieces = [process for process, words in found.items() if "cluster.child" in words]
        workers = [process for process, words in found.items() if "spawn_main" in words]
        schedulers = [self.processes["scheduler"]] if self.lives("scheduler") else []
        chosen = {"piece": pieces, "worker": workers, "scheduler": schedulers}.get(kind)
        rng.choice(chosen or [command]).kill()
        return kind if chosen else "command"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    made = Cluster(tmp_path, pytest.importorskip("psutil", reason="comes with distributed"))
    yield made
    made.stop()
    _, there = made.psutil.wait_procs(made.seen.values(), timeout=60)
    assert there == []


@pytest.mark.long
def test_kill_9_of_schedulers_workers_pieces_and_commands(
    tmp_path: Path, cluster: Cluster, rounds: int
) -> None:
    """The same command goes on, on a new cluster after its scheduler; results equal one machine's."""
    table, checkpoint = (
        write_table(tmp_path / "a.csv", ROWS),
        property_checkpoint(tmp_path / "y.pt", ("y", "z")),
    )
    build(table, tmp_path / "one", conformers=None, target_columns="y", workers=1)
    predicted = ["predict", checkpoint, table, "--device", "cpu", "--workers", 1, "--conformers", "none"]
    began = time.monotonic()
    assert run_command(*predicted, "--out", tmp_path / "one.csv") == 0
    longest = max(10.0, 1.5 * (time.monotonic() - began))  # a busy machine takes minutes
    rng, counts, lines, run = random.Random(17), Counter[str](), Counter[str](), 0
    kills = max(2, 2 * rounds // 5)
    while counts.total() < kills:
        run += 1
        out = tmp_path / (f"out{run}" if run % 2 else f"out{run}.csv")
        words = ["build", table, "--target-columns", "y", *SHARED] if run % 2 else [*predicted, "--pieces", 4]
        argv = [sys.executable, "-m", "moleblend_plugin", *words, "--out", out, "--cluster", cluster.file]
        code, most = -1, min(kills, counts.total() + max(1, kills // 4))
        while code != 0:
            cluster.start()
            while not cluster.file.exists():
                time.sleep(0.1)
            with (tmp_path / "errors").open("w") as errors:
                command = subprocess.Popen([str(word) for word in argv], stdout=errors, stderr=errors)
                strike_at = time.monotonic() + rng.uniform(0.0, longest)
                while command.poll() is None:
                    time.sleep(0.2)
                    if time.monotonic() > strike_at and counts.total() < most:
                        struck = cluster.strike(rng.choice(KINDS), command, rng)
                        counts[struck] += 1
                        print(f"kill {counts.total()}: {struck}, in {out.name}")
                        strike_at = time.monotonic() + rng.uniform(0.2, 1.0) * longest
                    if cluster.lives("scheduler"):
                        cluster.start()
                code = command.wait()
            told = (tmp_path / "errors").read_text()
            assert code in (0, 2, -9), told
            assert "Traceback" not in told
            if code == 2:
                lines[told.splitlines()[-1].partition(":")[0]] += 1
        if run % 2:
            assert_equal_builds(tmp_path / "one", out)
        else:
            assert out.read_bytes() == (tmp_path / "one.csv").read_bytes()
    print(f"\nkill -9 on a cluster of its own: {dict(counts)} in {run} builds and predictions; {dict(lines)}")
    assert set(lines) <= {"error"}
