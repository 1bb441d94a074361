"""kill -9, SIGTERM, SIGINT and full disks at random moments: nothing is lost but the update in flight."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from moleblend_plugin.runs import detect
from tests.faults.lives import UPDATES, assert_same_run, losses, saved_updates, start

SAVING = (".checkpoint.tmp", ".checkpoint*.tmp")


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The folder of an uninterrupted run, and its seconds."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    life = start(folder)
    began = time.monotonic()
    assert life.wait() == 0, life.errors()
    assert saved_updates(folder) == UPDATES
    return folder, time.monotonic() - began


@pytest.fixture(autouse=True)
def _no_host_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOLEBLEND_HOST", raising=False)
    detect.take_charge(None)


def test_kill_9_at_random_moments(tmp_path: Path, straight: tuple[Path, float], rounds: int) -> None:
    """Lives end by SIGKILL and go on with another number of workers, until ``rounds`` kills have struck."""
    reference, seconds = straight
    rng, counts, run = random.Random(31), Counter[str](), 0
    while counts["kills"] < rounds:
        run += 1
        folder, done = tmp_path / f"run{run}", False
        while not done:
            life = start(folder, workers=rng.choice([0, 0, 1, 2]))
            if counts["kills"] < rounds:
                life.strike(signal.SIGKILL, rng.uniform(0, seconds))
            code = life.wait()
            assert code in (0, -signal.SIGKILL), life.errors()
            done = code == 0
            counts["kills"] += not done
            counts["while saving"] += not done and any(map(any, map(folder.glob, SAVING)))
            logged = max((update for update, _ in losses(folder)), default=0)
            saved = saved_updates(folder)
            assert logged - 1 <= saved <= logged + 1
            counts["updates in flight"] += max(0, logged - saved)
        assert_same_run(folder, reference)
        counts["runs"] += 1
    print(f"\nkill -9: {dict(counts)}")
    assert counts["updates in flight"] <= counts["kills"]


def test_sigterm_and_sigint_at_random_moments(
    tmp_path: Path, straight: tuple[Path, float], rounds: int
) -> None:
    """Lives end by a signal to the process or its group: nothing is lost, not even the update in flight."""
    reference, seconds = straight
    rng, counts, run = random.Random(32), Counter[str](), 0
    while counts["signals"] < rounds:
        run += 1
        folder, done = tmp_path / f"run{run}", False
        while not done:
            number = rng.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGINT])
            life = start(folder, workers=rng.choice([0, 0, 1, 2]))
            if counts["signals"] < rounds:
                # Not within the first moments, in which a fork has not yet set its handlers.
                life.strike(number, rng.uniform(0.15 * seconds, seconds), group=rng.random() < 0.5)
            code = life.wait()
            assert code in (0, 128 + number), life.errors()
            done = code == 0
            counts["signals"] += not done
            if not done:
                assert life.errors().count("\n") == 1
                early = "stopped before the first update" in life.errors()
                counts["before training"] += early
                assert early or "run the same command again to resume" in life.errors()
            logged = max((update for update, _ in losses(folder)), default=0)
            assert saved_updates(folder) == logged
        assert_same_run(folder, reference)
        assert len(losses(folder)) == UPDATES  # none was trained twice
        counts["runs"] += 1
    print(f"\nSIGTERM and SIGINT: {dict(counts)}")


def test_full_disk_at_random_sizes(tmp_path: Path, straight: tuple[Path, float], rounds: int) -> None:
    """A file that may not grow stops the run with one line; the checkpoint before it is as it was."""
    reference, _ = straight
    rng, count = random.Random(33), max(1, rounds // 5)
    size = (reference / "checkpoint_last.pt").stat().st_size
    folder = tmp_path / "run"
    assert start(folder, more=("--max-update", 7)).wait() == 0
    before = (folder / "checkpoint_last.pt").read_bytes()
    for _ in range(count):
        life = start(folder, file_limit=rng.randrange(30_000, size))
        assert life.wait() == 2
        assert life.errors().count("\n") == 1
        assert life.errors().startswith("error: cannot write ")
        assert "earlier checkpoints are as they were" in life.errors()
        assert (folder / "checkpoint_last.pt").read_bytes() == before
        assert saved_updates(folder) == 7
        assert not list(folder.glob(".*.tmp"))
    assert start(folder).wait() == 0
    assert_same_run(folder, reference)
    print(f"\nfull disk: {{'stops': {count}, 'runs': 1}}")
