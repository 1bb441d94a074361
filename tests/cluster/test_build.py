"""`moleblend build --cluster`: equal to a build on one machine, whatever is lost on the way."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin import build
from moleblend_plugin.building.options import BuildOptions
from moleblend_plugin.building.progress import BuildProgress
from moleblend_plugin.cluster import building, connect, look
from moleblend_plugin.cluster.building import build_on_cluster
from moleblend_plugin.cluster.request import Request, versions_here
from moleblend_plugin.cluster.run import missing_package
from moleblend_plugin.errors import MoleblendError
from tests.building.pieces import assert_equal_builds, write_table

OPTIONS = {"conformers": None, "split": "random", "target_columns": ["y"], "workers": 1}


def on_cluster(scheduler: str, table: Path, out: Path, pieces: int = 2, **more: object) -> list[str]:
    """Build there; lines that people see."""
    lines: list[str] = []

    def note(news: BuildProgress) -> None:
        lines.extend([news.line] if news.kind == "note" else [])

    build_on_cluster(table, out, scheduler, pieces, BuildOptions(**OPTIONS | more), note)
    return lines


def rejected(out: Path) -> dict[str, str]:
    with (out / "rejected.csv").open(newline="") as file:
        return {row["row_id"]: row["reason"] for row in csv.DictReader(file)}


def kill_a_worker(scheduler: str, folder: Path) -> None:
    """End the first worker that has begun a piece, as soon as it has."""
    from distributed import Client

    while not list(folder.glob("**/rows.sqlite")):
        time.sleep(0.05)
    with Client(scheduler, set_as_default=False) as client:
        pids = client.run(os.getpid)
        busy = next(worker for worker, tasks in client.processing().items() if tasks)
        os.kill(pids[busy], signal.SIGKILL)


def test_a_killed_worker_costs_its_piece_and_the_result_is_that_of_one_machine(
    scheduler: str, tmp_path: Path
) -> None:
    table = write_table(tmp_path / "a.csv", 40)
    lines = table.read_text().splitlines()
    lines[3] = lines[23] = "slow,C[Bh],1,1,train"
    table.write_text("\n".join(lines) + "\n")
    build(table, tmp_path / "one", **OPTIONS)
    killer = threading.Thread(target=kill_a_worker, args=(scheduler, tmp_path / "two"))
    killer.start()
    told = on_cluster(scheduler, table, tmp_path / "two")
    killer.join()
    assert told[0].startswith(f"cluster: {scheduler}, dashboard http")
    assert_equal_builds(tmp_path / "one", tmp_path / "two")

    made = sorted((tmp_path / "two" / "pieces").glob("*/*.piece"))
    assert [path.name for path in made] == ["1-of-2.piece", "2-of-2.piece"]
    times = [path.stat().st_mtime_ns for path in made]
    made[1].unlink()
    for store in (tmp_path / "two").glob("*.lmdb"):
        store.unlink()
    assert "resuming: 1 of 2 pieces are there" in on_cluster(scheduler, table, tmp_path / "two")
    assert [made[0].stat().st_mtime_ns == times[0], made[1].stat().st_mtime_ns == times[1]] == [True, False]
    assert_equal_builds(tmp_path / "one", tmp_path / "two")
    with pytest.raises(MoleblendError, match=r"already holds train\.lmdb"):
        on_cluster(scheduler, table, tmp_path / "two")


def test_rows_that_end_or_stop_their_process_are_rejected(scheduler: str, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("smiles,y\nCCO,1\nC[Db],2\nCCN,3\nC[Sg],4\nCCC,5\n")
    on_cluster(scheduler, table, tmp_path / "out", 1, row_timeout=3, split="none")
    assert rejected(tmp_path / "out") == {
        "a.csv:1": "ended its process: by SIGSEGV",
        "a.csv:3": "took too long: more than 3 s",
    }
    good = tmp_path / "good" / "a.csv"
    good.parent.mkdir()
    good.write_text("smiles,y\nCCO,1\nC(,2\nCCN,3\nC(,4\nCCC,5\n")  # bad rows in the same places
    build(good, tmp_path / "one", **OPTIONS | {"split": "none"})
    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.data.store.record_codec import encode_record

    one, there = (MoleculeStore(tmp_path / name / "train.lmdb") for name in ("one", "out"))
    assert [encode_record(record) for record in there] == [encode_record(record) for record in one]


def test_what_is_refused_on_the_cluster_is_one_line_here(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_table(tmp_path / "a.csv", 20)
    with pytest.raises(MoleblendError, match=r"a\.csv:\d+ is rejected \(SMILES syntax\)"):
        on_cluster(scheduler, table, tmp_path / "strict", strict=True)
    other = versions_here("build") | {"moleblend_plugin": "9.9"}
    monkeypatch.setattr(building, "versions_here", lambda kind: other)
    with pytest.raises(MoleblendError, match=r"worker on .* has moleblend_plugin .*, not 9\.9 as this"):
        on_cluster(scheduler, table, tmp_path / "out")


def test_a_machine_without_the_files_is_named(tmp_path: Path) -> None:
    request = Request("build", 1, 1, {}, (str(tmp_path),), str(tmp_path), "token", versions_here("build"))
    assert "does not see the folder of --out" in look.problem_here(request)
    with look.signed(tmp_path, "token"):
        assert look.problem_here(request) == ""
        missing = Request("build", 1, 1, {}, ("/nowhere/a.csv",), str(tmp_path), "token")
        assert "does not see /nowhere/a.csv: name files in a folder that all" in look.problem_here(missing)
    assert list(tmp_path.iterdir()) == []


def test_what_a_worker_lacks_is_found_in_what_dask_makes_of_it() -> None:
    lacks = ModuleNotFoundError("No module named 'moleblend_plugin'")
    assert [missing_package(error) for error in (lacks, Exception(repr(lacks)), OSError("disk"))] == [
        *("moleblend_plugin", "moleblend_plugin", ""),
    ]


@pytest.mark.parametrize("given", ["local:0", "locale", "local:two", "8786"])
def test_another_form_of_cluster_is_refused(given: str, tmp_path: Path) -> None:
    table = write_table(tmp_path / "a.csv", 10)
    with pytest.raises(MoleblendError, match=rf"--cluster {given}: give local:N"):
        on_cluster(given, table, tmp_path / "out")


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    monkeypatch.setattr(connect, "_CONNECT_SECONDS", 1)
    table = write_table(tmp_path / "a.csv", 10)
    with pytest.raises(MoleblendError, match=r"tcp://127\.0\.0\.1:9: no scheduler answers there; start one"):
        on_cluster("tcp://127.0.0.1:9", table, tmp_path / "out")


@pytest.mark.parametrize(("failures", "starts"), [(2, True), (3, False)])
def test_a_process_that_is_killed_while_it_starts(
    failures: int, starts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask then gives up the whole cluster (findings/dask-worker-killed-at-start.sh)."""
    distributed = pytest.importorskip("distributed", reason="needs the extra [cluster]")
    made = []

    def start(**settings: Any) -> str:
        made.append(settings["n_workers"])
        if len(made) <= failures:
            raise RuntimeError("Nanny failed to start.")
        return "cluster"

    monkeypatch.setattr(distributed, "LocalCluster", start)
    if starts:
        assert connect._started(2) == "cluster"
    else:
        with pytest.raises(MoleblendError, match=r"local:2: its processes ended .*, 3 times; give fewer"):
            connect._started(2)
    assert made == [2, 2, 2]
