"""Members in processes: finished ones are kept, a failure is one line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.estimators.member_jobs import Job, MemberJobs, curve_of, run_jobs


def job(folder: Path, sha256: str = "0", epochs: int = 3) -> Job:
    words = [str(folder / "data"), "--max-epoch", str(epochs), "--save-dir", str(folder / "run")]
    return Job(folder, words, "cpu", sha256, lambda: (folder / "data").mkdir())


CHILD = """
import json, sys, pathlib
folder = pathlib.Path(sys.argv[-1])
words = json.loads((folder / "job.json").read_text())["arguments"]
assert words[0] == "./data"
(folder / "run").mkdir()
(folder / "run" / "train.jsonl").write_text('{"event": "valid"}\\n' * int(words[2]))
if folder.name == "bad":
    (folder / "error.txt").write_text("no room for 3 molecules: give more\\n")
    sys.exit(2)
if folder.name == "killed":
    import os
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A child that trains nothing."""
    started = subprocess.Popen
    (tmp_path / "child.py").write_text(CHILD)

    def popen(command: list[str], **options: Any) -> object:
        return started([command[0], str(tmp_path / "child.py"), command[-1]], **options)

    monkeypatch.setattr(subprocess, "Popen", popen)


def read_curve(log: Path) -> dict[int, float]:
    return {number: 1.0 / (1 + number) for number, _ in enumerate(log.read_text().splitlines())}


@pytest.mark.usefixtures("quick")
def test_what_is_finished_is_kept_unless_it_is_another_job(tmp_path: Path) -> None:
    jobs = [job(tmp_path / name) for name in ("a", "b", "c")]
    told: list[tuple[int, int]] = []
    how = MemberJobs(tmp_path, 2, lambda done, total: told.append((done, total)))
    run_jobs(jobs, how, read_curve)
    assert told[-1] == (9, 9)
    assert curve_of(jobs[0]) == {0: 1.0, 1: 0.5, 2: pytest.approx(1 / 3)}
    before = [(each.folder / "curve.json").stat().st_mtime_ns for each in jobs]
    changed = [jobs[0], job(tmp_path / "b", sha256="1"), job(tmp_path / "c", epochs=4)]
    run_jobs(changed, how, read_curve)
    after = [(each.folder / "curve.json").stat().st_mtime_ns for each in jobs]
    np.testing.assert_array_equal(np.array(before) == np.array(after), [True, False, False])
    assert len(curve_of(changed[2])) == 4


@pytest.mark.usefixtures("quick")
def test_a_failure_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="no room for 3 molecules: give more"):
        run_jobs([job(tmp_path / "bad"), job(tmp_path / "a")], MemberJobs(tmp_path, 2), read_curve)
    with pytest.raises(MoleblendError, match="SIGKILL"):
        run_jobs([job(tmp_path / "killed")], MemberJobs(tmp_path), read_curve)
