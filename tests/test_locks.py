"""One process at a time: a lock names its holder, ends with it, and is not believed blindly."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin import locks
from moleblend_plugin.locks import Held, holding, lock_file, take

HOLD = """
import sys, time
from pathlib import Path
from moleblend_plugin.locks import take
lock = take(Path(sys.argv[1]), "x", "y")
print("held", flush=True)
{then}
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """``other(then)`` starts a process that holds ``tmp_path / "l"``; all are ended afterwards."""
    started = []

    def start(then: str = "") -> Any:
        words = [sys.executable, "-c", HOLD.format(then=then), str(tmp_path / "l")]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(locks, "SILENT_SECONDS", 0.6)
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.1)


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path, other: Callable[..., Any]) -> None:
    process = other()
    with pytest.raises(Held) as refused:
        take(tmp_path / "l", "another run writes to a", "choose another")
    text = str(refused.value)
    assert text.startswith(
        f"another run writes to a (host {os.uname().nodename}, process {process.pid}, since 20"
    )
    assert text.endswith(" UTC): choose another")
    assert "\n" not in text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_holder_that_was_killed_leaves_no_lock(
    tmp_path: Path, other: Callable[..., Any], number: Any
) -> None:
    process = other()
    process.send_signal(number)
    process.wait()
    with holding(tmp_path / "l", "x", "y"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_keeps_no_lock_alive(tmp_path: Path, other: Callable[..., Any]) -> None:
    """Data workers outlive a killed trainer by seconds; the next run must not wait for them."""
    process = other("import os\nif os.fork() == 0:\n    time.sleep(5)\n    os._exit(0)")
    time.sleep(0.1)
    process.kill()
    process.wait()
    with holding(tmp_path / "l", "x", "y"):
        pass


def test_one_process_holds_once(tmp_path: Path) -> None:
    with holding(tmp_path / "l", "x", "y"):
        with pytest.raises(Held, match="this process"):
            take(tmp_path / "l", "x", "y")
        with holding(tmp_path / "m", "x", "y"):
            pass
    with holding(tmp_path / "l", "x", "y"):
        pass


def test_looking_at_the_holder_does_not_free_the_lock(tmp_path: Path) -> None:
    """fcntl frees a process's locks when it closes any handle of the file."""
    with holding(tmp_path / "l", "x", "y") as lock:
        lock.check()
        told = subprocess.run(
            [sys.executable, "-c", HOLD.format(then=""), str(tmp_path / "l")], capture_output=True, text=True
        )
        assert told.returncode == 1
        assert "Held" in told.stderr


def foreign(path: Path, beat: int = 0) -> None:
    told = {"host": "far", "pid": 7, "since": "then", "machine": "another", "token": "t", "beat": beat}
    path.write_text(json.dumps(told).ljust(1023) + "\n", encoding="ascii")


def test_a_silent_holder_on_another_machine_counts_as_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    foreign(tmp_path / "l")
    with holding(tmp_path / "l", "x", "y"):
        pass
    assert "its holder (host far, process 7, since then) is silent" in caplog.text


def test_a_holder_on_another_machine_that_shows_life_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where locks hold on one machine only, ours is free although the other works."""
    path, plain, beats = tmp_path / "l", time.sleep, [0]

    def sleep(seconds: Any) -> None:
        beats[0] += 1
        foreign(path, beats[0])
        plain(0.01)

    foreign(path)
    monkeypatch.setattr(locks.time, "sleep", sleep)
    with pytest.raises(Held, match=r"host far, process 7, since then"):
        take(path, "x", "y")


def test_without_locks_of_the_system_the_count_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: Callable[..., Any]
) -> None:
    def none(handle: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_fcntl_lock", none)
    process = other("import moleblend_plugin.locks as l")  # its count goes up every five seconds
    monkeypatch.setattr(locks, "SILENT_SECONDS", 8)
    with pytest.raises(Held, match=f"process {process.pid}"):
        take(tmp_path / "l", "x", "y")


def test_a_holder_that_was_replaced_says_so_and_does_not_take_the_place_back(tmp_path: Path) -> None:
    with holding(tmp_path / "l", "x", "y") as lock:
        lock.check()
        foreign(tmp_path / "l")
        time.sleep(0.3)  # some of its beats
        with pytest.raises(Held, match="was taken over by another process .host far, process 7"):
            lock.check()
    assert json.loads((tmp_path / "l").read_text())["token"] == "t"


def test_a_lock_is_no_way_to_another_file(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("good")
    (tmp_path / "l").symlink_to(tmp_path / "good")
    with pytest.raises(OSError, match=r".*"):
        take(tmp_path / "l", "x", "y")
    assert (tmp_path / "good").read_text() == "good"


def test_the_lock_of_a_file_lies_beside_it() -> None:
    assert lock_file(Path("a/out.csv")) == Path("a/.out.csv.lock")
