"""``moleblend rerun`` repeats a run to the last bit, or says what is no longer the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from moleblend_plugin.cli import rerun as command
from moleblend_plugin.cli.main import app
from moleblend_plugin.cli.rerun import changes, differences, with_folder
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.run_record import git_revision, package_versions
from tests.tasks.test_pretrain import write_stores
from tests.trainers import EMBEDDED, ROOT, last_state, train

SIZES = {"train": [4, 9, 1, 7, 12, 5, 6, 8], "valid": [6, 3]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 3 updates with dropout, interrupted after the first, in ``run`` beside its data."""
    folder = tmp_path_factory.mktemp("rerun")
    write_stores(folder, SIZES)
    for updates in (1, 3):
        train(EMBEDDED, folder, folder / "run", "--batch-size", 4, "--max-update", updates)
    return folder / "run"


def test_a_run_is_repeated_to_the_last_bit(trained: Path) -> None:
    argv = [sys.executable, "-m", "moleblend_plugin.cli.main", "rerun", str(trained)]
    done = subprocess.run(
        argv, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "2"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was started 2 times; the last command is repeated" in done.stdout
    again = trained.with_name("run-rerun")
    left, right = last_state(trained), last_state(again)
    assert left["model"].keys() == right["model"].keys()
    assert all(torch.equal(left["model"][name], right["model"][name]) for name in left["model"])
    assert left["optimizer_history"][-1] == right["optimizer_history"][-1]
    record = json.loads((again / "run.json").read_text())
    assert record["arguments"].count("--save-dir") == 1
    assert record["stores"] == json.loads((trained / "run.json").read_text())["stores"]
    third = CliRunner().invoke(app, ["rerun", str(trained)])
    assert isinstance(third.exception, MoleblendError)
    assert "run-rerun is not empty: choose another folder with --save-dir" in str(third.exception)


def test_other_data_are_refused_by_name_unless_forced(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.loads((trained / "run.json").read_text())
    assert set(record["stores"]) == {"train", "valid"}
    other = write_stores(tmp_path, SIZES | {"valid": [6, 4]})
    record["stores"]["train"]["path"] = str(other / "train.lmdb")  # the same molecules elsewhere
    record["stores"]["valid"]["path"] = str(other / "valid.lmdb")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    started: list[list[str]] = []
    monkeypatch.setattr(command, "become", lambda argv, record: started.append(argv))
    refused = CliRunner().invoke(app, ["rerun", str(tmp_path / "run")])
    assert str(refused.exception) == (
        f"the valid store {other / 'valid.lmdb'} is not the one that the run read; "
        "bring it back, or repeat with --force"
    )
    assert started == []
    forced = CliRunner().invoke(
        app, ["rerun", str(tmp_path / "run"), "--force", "--save-dir", str(tmp_path / "n")]
    )
    assert forced.exit_code == 0, forced.output
    assert "warning: the valid store" in forced.output
    assert started[0][-4:] == [
        "--save-dir",
        str(tmp_path / "n"),
        "--tmp-save-dir",
        str(tmp_path / "n" / "tmp"),
    ]


def test_other_weights_to_start_from_are_noticed(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", from FIPS 180
    record: dict[str, Any] = {"stores": {}, "started_from": {"path": str(weights), "sha256": digest}}
    assert changes(record) == []
    weights.write_bytes(b"abd")
    assert changes(record) == [f"{weights} is not the checkpoint that the run started from"]
    weights.unlink()
    assert len(changes(record)) == 1


def test_other_versions_are_told() -> None:
    same = {"packages": package_versions(), "python": sys.version.split()[0], "revision": git_revision()}
    assert [text for text in differences(same) if "files had changes" not in text] == []
    older = same | {"packages": package_versions() | {"torch": "1.0", "gone": "2"}, "revision": "abc"}
    assert f"torch was 1.0, is {torch.__version__}" in differences(older)
    assert "gone was 2, is absent" in differences(older)
    assert any("revision was abc" in text for text in differences(older))


def test_folders_are_replaced_however_they_are_spelt() -> None:
    given = [
        "data",
        "--save-dir",
        "a",
        "--lr",
        "1",
        "--tmp-save-dir=b",
        "--save-dir=c",
        "--save-interval",
        "2",
    ]
    assert with_folder(given, Path("/n")) == [
        *("data", "--lr", "1", "--save-interval", "2"),
        *("--save-dir", "/n", "--tmp-save-dir", "/n/tmp"),
    ]


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="where the run was started, cannot be entered"):
        command.become(["x"], {"folder": str(tmp_path / "gone")})
