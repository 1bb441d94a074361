"""One training per folder, under either host."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin import locks
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.locks import holding
from moleblend_plugin.runs import run_lock

HOLD = """
import sys
from argparse import Namespace
from moleblend_plugin.runs.run_lock import hold_for_process
hold_for_process(Namespace(save_dir=sys.argv[1], tmp_save_dir=sys.argv[2], no_save=False))
print("held", flush=True)
sys.stdin.read()
"""


def in_other_process(save_dir: Path, tmp_save_dir: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", HOLD, str(save_dir), str(tmp_save_dir)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture(autouse=True)
def _nothing_held() -> Iterator[None]:
    yield
    run_lock.release_for_process()


def test_a_second_training_is_refused_before_it_touches_anything(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    first = train("--max-update", 2)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    process = in_other_process(first.folder, tmp_path / "tmp")
    second = train("--max-update", 4)
    assert (second.code, second.err.count("\n")) == (2, 1)
    assert f"error: another training writes to --save-dir {first.folder} (host " in second.err
    assert f"process {process.pid}, since " in second.err
    assert "or choose another --save-dir" in second.err
    assert {name: (first.folder / name).read_bytes() for name in before} == before
    process.communicate()  # it ends
    assert train("--max-update", 4).code == 0


def test_a_killed_training_does_not_stand_in_its_own_way(train: Callable[..., Any], tmp_path: Path) -> None:
    process = in_other_process(tmp_path / "run", tmp_path / "tmp")
    process.kill()
    process.wait()
    run = train("--max-update", 2)
    assert run.code == 0
    assert not (run.folder / ".lock").exists()


def test_a_run_that_was_replaced_writes_no_more(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toy_plugin import ToyLoss

    plain = ToyLoss.forward

    def forward(self: Any, *arguments: object, **named: Any) -> Any:
        (tmp_path / "run" / ".lock").write_text('{"token": "t", "host": "far", "pid": 7, "since": "now"}')
        return plain(self, *arguments, **named)

    monkeypatch.setattr(ToyLoss, "forward", forward)
    run = train("--max-update", 2)
    assert (run.code, run.names()) == (2, [])
    assert "was taken over by another process (host far, process 7" in run.err


def options(save_dir: Path, tmp_save_dir: Path, **other: int) -> argparse.Namespace:
    return Namespace(save_dir=str(save_dir), tmp_save_dir=str(tmp_save_dir), no_save=False, **other)


@pytest.mark.parametrize(("place", "flag"), [(0, "--save-dir"), (1, "--tmp-save-dir")])
def test_under_uni_core_both_folders_belong_to_one_run(tmp_path: Path, place: int, flag: str) -> None:
    """Checkpoints of all runs have the same names in --tmp-save-dir."""
    mine = [tmp_path / "a", tmp_path / "b"]
    theirs = [tmp_path / "c", tmp_path / "d"]
    theirs[place] = mine[place]
    process = in_other_process(*theirs)
    with pytest.raises(MoleblendError, match=f"another training writes to {flag} .*process {process.pid}"):
        run_lock.hold_for_process(options(*mine))
    with holding(mine[1 - place] / ".lock", "x", "y", make_folder=True):
        pass  # what it could have had was let go
    process.communicate()
    run_lock.hold_for_process(options(*mine))


@pytest.mark.parametrize("lives", [False, True], ids=["a node that died", "a node that works"])
def test_the_lock_of_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lives: bool) -> None:
    """Its silent lock holds up no run of either trainer; while its count rises, it does."""
    path, plain, beats = tmp_path / "a" / ".lock", time.sleep, count()
    path.parent.mkdir()

    def beat() -> None:
        told = {"host": "far", "pid": 7, "since": "then", "machine": "another", "token": "t"}
        path.write_text(json.dumps(told | {"beat": next(beats)}).ljust(1023) + "\n")

    def sleep(seconds: float) -> None:
        if lives:
            beat()
        plain(min(seconds, 0.05))

    monkeypatch.setattr(locks, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(locks.time, "sleep", sleep)
    run = options(tmp_path / "a", tmp_path / "b")
    for hold in (lambda: run_lock.hold_for_process(run), run_lock.holding_run(run, is_first=True).__enter__):
        beat()
        if lives:
            told = r"another training writes to --save-dir .*\(host far, process 7"
            with pytest.raises(MoleblendError, match=told):
                hold()
        else:
            hold()
            run_lock.check_for_process()
            run_lock.release_for_process()


def test_only_the_process_that_saves_holds(tmp_path: Path) -> None:
    run_lock.hold_for_process(options(tmp_path / "a", tmp_path / "b", distributed_rank=1))
    run_lock.hold_for_process(Namespace(save_dir=str(tmp_path / "a"), no_save=True))
    with run_lock.holding_run(options(tmp_path / "a", tmp_path / "b"), is_first=False) as lock:
        assert lock is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(MoleblendError, match="--save-dir .* cannot be written to"):
        run_lock.hold_for_process(options(tmp_path / "a", tmp_path / "b"))
