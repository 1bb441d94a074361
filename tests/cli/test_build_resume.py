"""`moleblend build` ends in the middle, by any cause: the same command goes on to the same result."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import msgpack
import pytest

from moleblend_plugin.building import finish as _build_finish
from moleblend_plugin.building import run as _build_run
from moleblend_plugin.building.work import BuildWork, work_of
from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.checksum import unseal

ROWS = 44
STOP = 20  # in the third chunk of eight: sixteen rows are finished


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    lines = [f"{'C' * (1 + n % 5)}O{'C' * (n // 5)},{n}" for n in range(ROWS)]
    lines[3], lines[30] = "bad(,3", "CN(C)(C)C,30"
    path.write_text("\n".join(["smiles,y", *lines]) + "\n")
    return path


def arguments(table: Path, out: Path, *options: int | str) -> list[str]:
    words = ["build", table, "--out", out, "--workers", 1, "--conformers", 1, "--target-columns", "y"]
    return [str(word) for word in (*words, "--split", "random", *options)]


def run(words: list[str]) -> int:
    try:
        main(words)
    except SystemExit as done:
        return done.code or 0
    return 0


@dataclass(frozen=True)
class Stops:
    """The work of a build, which does ``action`` first when it meets row ``row``."""

    work: BuildWork
    row: int
    action: object

    @property
    def chunk(self) -> Any:
        return self.work.chunk

    def __call__(self, rows: Any) -> Any:
        if any(row.row == self.row for row in rows):
            self.action()
        return self.work(rows)


@dataclass(frozen=True)
class Strikes:
    """Sends a signal to the building process, from it or from a worker of it."""

    pid: int
    number: int

    def __call__(self) -> None:
        os.kill(self.pid, self.number)
        time.sleep(0 if self.pid == os.getpid() else 30)  # a worker must not finish the row


def in_fork(words: list[str], patch: Callable[..., Any], errors: Path) -> int:
    """Process number of a fork that builds after ``patch()``; its stderr goes to the file ``errors``."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:  # every way out must end the fork, not the test run
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        patch()
        code = run(words)
    finally:
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def interrupt(words: list[str], tmp_path: Path, number: Any = signal.SIGKILL, row: Any = STOP) -> str:
    """A build of ``words`` that a signal strikes at row ``row``; its stderr."""

    def patch() -> None:
        action = Strikes(os.getpid(), number)
        _build_run.work_of = lambda plan: Stops(work_of(plan), row, action)

    errors = tmp_path / "errors.txt"
    code = exit_code(in_fork(words, patch, errors))
    assert code != 0
    text = errors.read_text()
    errors.unlink()
    assert "Traceback" not in text
    return text


def content(out: Path) -> dict[str, bytes | dict[str, Any] | tuple[dict[str, Any], dict[bytes, bytes]]]:
    """All that a build wrote, without the time and the number of workers."""
    found = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix != ".lmdb"}
    report = json.loads(found.pop("build_report.json"))
    clock = {"created", "seconds", "rows_per_second", "workers", "resumed_rows"}
    found["report"] = {name: fact for name, fact in report.items() if name not in clock}
    for store in sorted(out.glob("*.lmdb")):
        with lmdb.open(str(store), subdir=False, readonly=True, lock=False) as env, env.begin() as txn:
            values = dict(txn.cursor())
        meta = msgpack.unpackb(unseal(b"__meta__", values.pop(b"__meta__")))
        found[store.name] = {name: fact for name, fact in meta.items() if name != "created"}, values
    return found


@pytest.fixture
def straight(
    table: Path, tmp_path: Path
) -> dict[str, bytes | dict[str, Any] | tuple[dict[str, Any], dict[bytes, bytes]]]:
    """What an uninterrupted build writes."""
    assert run(arguments(table, tmp_path / "straight")) == 0
    return content(tmp_path / "straight")


def watch_rows(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The rows that are converted in this process from now on."""
    seen = []

    class Watched(Stops):
        def __call__(self, rows: Any) -> Any:
            seen.extend(row.row for row in rows)
            return self.work(rows)

    monkeypatch.setattr(_build_run, "work_of", lambda plan: Watched(work_of(plan), -1, None))
    return seen


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_build_goes_on_where_it_was_struck(
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    straight: dict[str, bytes | dict[str, Any] | tuple[dict[str, Any], dict[bytes, bytes]]],
    number: Any,
) -> None:
    words = arguments(table, tmp_path / "out")
    text = interrupt(words, tmp_path, number)
    if number != signal.SIGKILL:
        assert "16 finished rows are kept in" in text
        assert "run the same command again to resume" in text
    assert not (tmp_path / "out").exists()
    seen = watch_rows(monkeypatch)
    capsys.readouterr()
    assert run(words) == 0
    assert "resuming: 16 of 44 rows are there" in capsys.readouterr().err
    assert seen == list(range(16, ROWS))
    assert content(tmp_path / "out") == straight
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "out", "straight"]


def test_a_build_struck_while_it_divides_converts_nothing_again(
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    straight: dict[str, bytes | dict[str, Any] | tuple[dict[str, Any], dict[bytes, bytes]]],
) -> None:
    words = arguments(table, tmp_path / "out")

    def patch() -> None:
        _build_finish.duplicates = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

    assert exit_code(in_fork(words, patch, tmp_path / "errors.txt")) == -signal.SIGKILL
    (tmp_path / "errors.txt").unlink()
    seen = watch_rows(monkeypatch)
    assert run(words) == 0
    assert seen == []
    assert content(tmp_path / "out") == straight


def test_workers_of_a_killed_build_end_and_others_go_on(
    table: Path,
    tmp_path: Path,
    straight: dict[str, bytes | dict[str, Any] | tuple[dict[str, Any], dict[bytes, bytes]]],
) -> None:
    words = arguments(table, tmp_path / "out", "--workers", 2)
    interrupt(words, tmp_path)
    until = time.monotonic() + 60
    while _children_of_nobody("moleblend") and time.monotonic() < until:
        time.sleep(0.1)
    assert _children_of_nobody("moleblend") == []
    assert run(words) == 0
    assert content(tmp_path / "out") == straight


def _children_of_nobody(word: str) -> list[Any]:
    """Processes that were spawned by this test's forks and outlived them (their group is ours)."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            status, command = (open(f"/proc/{name}/{part}").read() for part in ("stat", "cmdline"))  # noqa: SIM115
        except OSError:
            continue
        state, _, group = status.rpartition(")")[2].split()[:3]
        if int(group) == os.getpgrp() and state != "Z" and "multiprocessing.spawn" in command:
            found.append(int(name))
    return found


def test_other_settings_or_inputs_start_anew_and_say_so(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = arguments(table, tmp_path / "out")
    seen = watch_rows(monkeypatch)
    for change, name in ((("--seed", "7"), "conversion"), (("--limit", "30"), "limit")):
        interrupt(words, tmp_path)
        capsys.readouterr()
        assert run([*words, *change]) == 0
        line = f"starting again: 16 finished rows of an interrupted build differ in {name}"
        assert line in capsys.readouterr().err
        assert seen == list(range(30 if name == "limit" else ROWS))
        seen.clear()
        words = arguments(table, tmp_path / "out", "--overwrite")
    interrupt(words, tmp_path)
    table.write_text(table.read_text() + "CCCCF,1\n")
    capsys.readouterr()
    assert run(words) == 0
    assert "differ in inputs" in capsys.readouterr().err
    assert seen == list(range(ROWS + 1))


def test_another_division_takes_finished_rows_over(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(arguments(table, tmp_path / "out"), tmp_path)
    seen = watch_rows(monkeypatch)
    sizes = ("--split-sizes", "0.5,0.25,0.25")
    assert run(arguments(table, tmp_path / "out", *sizes)) == 0
    assert seen == list(range(16, ROWS))
    assert run(arguments(table, tmp_path / "straight", *sizes)) == 0
    assert content(tmp_path / "out") == content(tmp_path / "straight")


def test_an_old_store_stays_until_the_new_one_is_whole(
    table: Path,
    tmp_path: Path,
    straight: dict[str, bytes | dict[str, Any] | tuple[dict[str, Any], dict[bytes, bytes]]],
) -> None:
    words = arguments(table, tmp_path / "out", "--overwrite")
    assert run([*words, "--limit", "10"]) == 0
    before = content(tmp_path / "out")
    interrupt(words, tmp_path)
    stage = tmp_path / "out" / ".out.partial"
    assert stage.is_dir()
    assert {path.name for path in (tmp_path / "out").iterdir() if path != stage} >= {"train.lmdb"}
    os.rename(stage, tmp_path / "moved")
    assert content(tmp_path / "out") == before
    os.rename(tmp_path / "moved", stage)
    assert run(words) == 0
    assert content(tmp_path / "out") == straight


def test_two_builds_into_one_folder(
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    straight: dict[str, bytes | dict[str, Any] | tuple[dict[str, Any], dict[bytes, bytes]]],
) -> None:
    words = arguments(table, tmp_path / "out")
    begun, go = os.pipe(), os.pipe()

    def hold() -> None:
        os.write(begun[1], b"x")
        os.read(go[0], 1)

    def patch() -> None:
        _build_run.work_of = lambda plan: Stops(work_of(plan), STOP, hold)

    pid = in_fork(words, patch, tmp_path / "errors.txt")
    os.read(begun[0], 1)
    capsys.readouterr()
    assert run(words) == 2
    told = capsys.readouterr().err
    assert f"error: another build is writing {tmp_path / 'out'} (host " in told
    assert f"process {pid}, since " in told
    assert "wait for it or name another --out" in told
    os.write(go[1], b"x")
    assert exit_code(pid) == 0
    assert content(tmp_path / "out") == straight
    for end in (*begun, *go):
        os.close(end)


def test_a_disk_that_fills_up_keeps_what_is_finished(
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    straight: dict[str, bytes | dict[str, Any] | tuple[dict[str, Any], dict[bytes, bytes]]],
) -> None:
    words = arguments(table, tmp_path / "out")

    def patch() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    assert exit_code(in_fork(words, patch, tmp_path / "errors.txt")) == 2
    kept, error = (tmp_path / "errors.txt").read_text().splitlines()
    assert "finished rows are kept in" in kept
    assert error.startswith("error: cannot write ")
    assert "free space" in error
    (tmp_path / "errors.txt").unlink()
    seen = watch_rows(monkeypatch)
    assert run(words) == 0
    assert 0 < seen[0] < ROWS
    assert seen[0] % 8 == 0
    assert content(tmp_path / "out") == straight


def test_strict_stops_at_a_bad_row_that_is_already_finished(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = arguments(table, tmp_path / "out")
    interrupt(words, tmp_path)
    capsys.readouterr()
    assert run([*words, "--strict"]) == 2
    assert "a.csv:3 is rejected (SMILES syntax): 'bad('" in capsys.readouterr().err
    assert run(words) == 0


def test_inputs_without_molecules_leave_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("smiles,y\n" + "bad(,1\n" * 30)
    words = arguments(tmp_path / "a.csv", tmp_path / "out")
    interrupt(words, tmp_path)
    assert ".out.partial" in os.listdir(tmp_path)
    assert run(words) == 2
    assert os.listdir(tmp_path) == ["a.csv"]
