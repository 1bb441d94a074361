"""kill -9 at random moments of a build: the same command goes on, and ends as the uninterrupted one."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from tests.cli.test_build_resume import content, exit_code, in_fork

ROWS = 2000


def command(table: Path, out: Path, workers: int) -> list[str]:
    words = ["build", table, "--out", out, "--workers", workers, "--conformers", "none", "--split", "random"]
    return [str(word) for word in (*words, "--target-columns", "y", "--limit", ROWS)]


def test_kill_9_at_random_moments_of_a_build(tmp_path: Path, rounds: int) -> None:
    """While rows are converted, written and divided; in a new folder, and inside one that exists."""
    table = tmp_path / "a.csv"
    lines = [f"{'C' * (1 + n % 9)}O{'C' * (n % 13)},{n}" if n % 50 else f"bad(,{n}" for n in range(ROWS)]
    table.write_text("\n".join(["smiles,y", *lines]) + "\n")
    errors, began = tmp_path / "errors", time.monotonic()
    assert exit_code(in_fork(command(table, tmp_path / "straight", 1), lambda: None, errors)) == 0
    seconds, straight = time.monotonic() - began, content(tmp_path / "straight")
    rng, counts, run = random.Random(34), Counter[str](), 0
    while counts["kills"] < rounds:
        run += 1
        out, done = tmp_path / f"out{run}", False
        if run % 2:
            out.mkdir()
        while not done:
            pid = in_fork(command(table, out, rng.choice([1, 1, 1, 2])), lambda: None, errors)
            if counts["kills"] < rounds:
                time.sleep(rng.uniform(0, seconds))
                os.kill(pid, signal.SIGKILL)  # in vain where the build has ended
            code = exit_code(pid)
            assert code in (0, -signal.SIGKILL), errors.read_text()
            done = code == 0
            counts["kills"] += not done
            counts["resumed"] += "rows are there" in errors.read_text()
        assert content(out) == straight
        assert [path.name for path in out.parent.glob(".*partial*")] == []
        counts["builds"] += 1
    print(f"\nkill -9 of builds: {dict(counts)}")
