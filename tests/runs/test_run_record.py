"""A run's folder tells what it takes to repeat it."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs import launch, run_record
from moleblend_plugin.runs.run_record import command_of, git_revision, read_record, stores_of


def test_a_run_tells_command_settings_and_surroundings(train: Callable[..., Any]) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    run = train("--max-update", 3, "--seed", 5, "--toy-width", 4)
    record = json.loads((run.folder / "run.json").read_text())
    assert record["host"] == "embedded"
    assert record["arguments"][0] == "40"
    assert record["arguments"][-6:] == ["--max-update", "3", "--seed", "5", "--toy-width", "4"]
    assert record["settings"]["toy_width"] == 4
    assert record["settings"]["adam_eps"] == 1e-8  # not on the command line
    assert (record["seed"], record["processes"], record["launcher"]) == (5, 1, None)
    assert (record["packages"]["torch"], record["python"]) == (torch.__version__, platform.python_version())
    assert record["threads"] == torch.get_num_threads()
    assert record["stores"] == {}  # the toy task tells of none
    assert [set(start) for start in record["starts"]] == [{"at", "arguments", "host", "revision"}]
    assert before <= datetime.fromisoformat(record["starts"][0]["at"]) <= datetime.now(UTC)


def test_every_start_is_kept_and_the_last_command_counts(train: Callable[..., Any]) -> None:
    train("--max-update", 3)
    run = train("--max-update", 5)
    record = read_record(run.folder)
    assert len(record["starts"]) == 2
    assert [start["arguments"][-1] for start in record["starts"]] == ["3", "5"]
    assert record["settings"]["max_update"] == 5


def test_a_run_that_keeps_nothing_keeps_no_record(train: Callable[..., Any]) -> None:
    assert not train("--max-update", 1, "--no-save").folder.exists()


def test_weights_to_start_from_are_known_by_content(train: Callable[..., Any]) -> None:
    import hashlib

    weights = train("--max-update", 2, into="first").folder / "checkpoint_last.pt"
    record = read_record(train("--max-update", 1, "--finetune-from-model", weights, into="second").folder)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert record["started_from"] == {"path": str(weights), "sha256": digest}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "does not exist: give the --save-dir"),
        ("{", "cannot be read"),
        ("{}", "is not the record"),
    ],
)
def test_a_folder_without_a_record_is_named(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(MoleblendError, match=told):
        read_record(tmp_path)


def test_revision_of_a_checkout(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None

    def git(*words: object) -> Any:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *who, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "new").write_text("not tracked")
    assert git_revision(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert git_revision(tmp_path) == f"{commit}-dirty"


def test_a_task_tells_of_its_data_or_not() -> None:
    class Task:
        def store_fingerprints(self) -> Any:
            return {"train": {"path": "a", "fingerprint": "b"}}

    assert stores_of(Task()) == {"train": {"path": "a", "fingerprint": "b"}}
    assert stores_of(object()) == {}


def test_the_hosts_own_program_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"host": "embedded", "launcher": None}
    module = ["-m", "moleblend_plugin.trainer.main"]
    assert command_of(record, ["data"]) == [sys.executable, *module, "data"]
    spread = record | {"launcher": {"world": 2, "per_node": 2}}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    assert command_of(spread, ["data"]) == [sys.executable, *torchrun, *module, "data"]
    with pytest.raises(MoleblendError, match="4 processes on several nodes"):
        command_of(record | {"launcher": {"world": 4, "per_node": 2}}, ["data"])
    monkeypatch.setattr(launch, "has_unicore", lambda: True)
    assert command_of(record | {"host": "unicore"}, ["data"]) == [sys.executable, launch.__file__, "data"]
    monkeypatch.setattr(launch, "has_unicore", lambda: False)
    with pytest.raises(MoleblendError, match="Uni-Core, which is not installed here"):
        command_of(record | {"host": "unicore"}, ["data"])


def test_packages_that_are_absent_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_record, "PACKAGES", ("numpy", "no-such-package"))
    assert set(run_record.package_versions()) == {"moleblend_plugin", "numpy"}
