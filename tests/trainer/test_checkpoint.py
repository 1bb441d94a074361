"""Checkpoint files: complete or absent, readable without running anything, pruned as asked."""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.checkpoints import file as checkpoint
from moleblend_plugin.trainer.checkpoints.file import (
    TEMPORARY,
    check_plain,
    prepare_folder,
    prune,
    read_checkpoint,
    write_checkpoint,
)
from moleblend_plugin.trainer.command.config import SaveConfig, ValidConfig

STATE = {"model": {"w": torch.arange(4.0)}, "optimizer_history": [{"num_updates": 3}], "extra_state": {}}


def test_round_trip_under_several_names(tmp_path: Path) -> None:
    args = argparse.Namespace(lr=[0.1], name="x", flag=None)
    write_checkpoint(
        STATE | {"args": args}, tmp_path, ["checkpoint1.pt", "checkpoint_best.pt", "checkpoint_last.pt"]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint1.pt",
        "checkpoint_best.pt",
        "checkpoint_last.pt",
    ]
    for path in tmp_path.iterdir():
        state = read_checkpoint(path)
        assert torch.equal(state["model"]["w"], torch.arange(4.0))
        assert state["args"] == args


def test_replacing_one_name_leaves_the_others(tmp_path: Path) -> None:
    write_checkpoint(STATE, tmp_path, ["checkpoint_best.pt", "checkpoint_last.pt"])
    write_checkpoint(STATE | {"model": {"w": torch.zeros(1)}}, tmp_path, ["checkpoint_last.pt"])
    assert torch.equal(read_checkpoint(tmp_path / "checkpoint_best.pt")["model"]["w"], torch.arange(4.0))
    assert torch.equal(read_checkpoint(tmp_path / "checkpoint_last.pt")["model"]["w"], torch.zeros(1))


def test_numpy_numbers_in_a_checkpoint_are_plain_values(tmp_path: Path) -> None:
    state = STATE | {"extra_state": {"val": np.float64(0.5), "n": np.int64(3)}}
    torch.save(state, tmp_path / "unicore.pt")
    assert read_checkpoint(tmp_path / "unicore.pt")["extra_state"] == {"val": 0.5, "n": 3}


def test_copies_where_names_cannot_share_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Any, target: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    write_checkpoint(STATE, tmp_path, ["checkpoint1.pt", "checkpoint_last.pt"])
    assert read_checkpoint(tmp_path / "checkpoint_last.pt")["optimizer_history"] == [{"num_updates": 3}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint1.pt", "checkpoint_last.pt"]


@pytest.mark.parametrize("keep", [0, 1, 100, 500])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "checkpoint_last.pt"
    write_checkpoint(STATE, tmp_path, [path.name])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MoleblendError, match=r"checkpoint_last.pt.*damaged") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


class Attack:
    def __init__(self, mark: Any) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "evil.pt"
    torch.save(STATE | {"args": Attack(mark)}, path)
    with pytest.raises(MoleblendError, match="holds more than plain values"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Attack(mark)))
    with pytest.raises(MoleblendError, match="evil.pt"):
        read_checkpoint(path)
    assert not mark.exists()


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match=r"nothing.pt' does not exist"):
        read_checkpoint(tmp_path / "nothing.pt")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(MoleblendError, match="lacks model, optimizer_history, extra_state"):
        read_checkpoint(tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(MoleblendError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "list.pt")
    with pytest.raises(MoleblendError, match="cannot be read"):
        read_checkpoint(tmp_path)


FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.checkpoints.file import write_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
state = {"model": {"w": torch.zeros(100_000)}, "optimizer_history": [], "extra_state": {}}
try:
    write_checkpoint(state, Path(sys.argv[1]), ["checkpoint_last.pt", "checkpoint_best.pt"])
except MoleblendError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    assert resource.RLIMIT_FSIZE  # a file size limit stands in for a full disk
    write_checkpoint(STATE, tmp_path, ["checkpoint_last.pt"])
    before = (tmp_path / "checkpoint_last.pt").read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "cannot write" in done.stdout
    assert "File too large" in done.stdout
    assert "earlier checkpoints are as they were" in done.stdout
    assert done.stdout.count("\n") == 1
    assert (tmp_path / "checkpoint_last.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_last.pt"]


def test_a_slow_disk_keeps_the_earlier_checkpoint_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at after every piece that arrives, and after a write that breaks off in the middle."""
    write_checkpoint(STATE, tmp_path, ["checkpoint_last.pt"])
    plain, looks = torch.save, []

    def slowly(state: Any, stream: Any) -> None:
        plain(state, whole := BytesIO())
        for start in range(0, len(whole.getvalue()), 500):
            stream.write(whole.getvalue()[start : start + 500])
            stream.flush()
            looks.append(read_checkpoint(tmp_path / "checkpoint_last.pt")["extra_state"])
            if state["extra_state"] == {"breaks": True} and start:
                raise TimeoutError(110, "Connection timed out")

    monkeypatch.setattr(torch, "save", slowly)
    write_checkpoint(STATE | {"extra_state": {"next": True}}, tmp_path, ["checkpoint_last.pt"])
    assert len(looks) > 2
    assert looks == [{}] * len(looks)
    told = r"cannot write .* \(Connection timed out\): earlier checkpoints are as they were"
    with pytest.raises(MoleblendError, match=told):
        write_checkpoint(STATE | {"extra_state": {"breaks": True}}, tmp_path, ["checkpoint_last.pt"])
    assert read_checkpoint(tmp_path / "checkpoint_last.pt")["extra_state"] == {"next": True}
    assert left(tmp_path) == ["checkpoint_last.pt"]


def test_a_kill_between_two_names_costs_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves the temporary file as one more name of the bytes that checkpoint_last.pt already has."""
    write_checkpoint(STATE, tmp_path, ["checkpoint_last.pt"])
    os.link(tmp_path / "checkpoint_last.pt", tmp_path / TEMPORARY)
    prepare_folder(tmp_path)
    assert read_checkpoint(tmp_path / "checkpoint_last.pt")["extra_state"] == {}

    os.link(tmp_path / "checkpoint_last.pt", tmp_path / TEMPORARY)
    monkeypatch.setattr(torch, "save", lambda state, stream: stream.write(b"half of it"))
    monkeypatch.setattr(checkpoint, "put_in_place", lambda temporary, path: None)
    write_checkpoint(STATE, tmp_path, ["checkpoint1.pt"])
    assert read_checkpoint(tmp_path / "checkpoint_last.pt")["extra_state"] == {}


def test_a_folder_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MoleblendError, match="--save-dir .*cannot be written to"):
        prepare_folder(tmp_path / "file" / "run")
    prepare_folder(tmp_path / "new" / "run")
    assert list((tmp_path / "new" / "run").iterdir()) == []


def test_options_that_are_no_plain_values_are_named() -> None:
    check_plain(argparse.Namespace(a=1, b=[1.5, "x", None], c={"k": (True,)}))
    with pytest.raises(MoleblendError, match="option 'hook' holds a function"):
        check_plain(argparse.Namespace(hook=lambda: 1))
    with pytest.raises(MoleblendError, match="option 'where' holds a list"):
        check_plain(argparse.Namespace(where=[Path("x")]))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_pruning_keeps_the_latest_by_number(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "checkpoint_1_8.pt",
        "checkpoint_1_9.pt",
        "checkpoint_2_10.pt",
        "checkpoint9.pt",
        "checkpoint10.pt",
    )
    save = SaveConfig(str(tmp_path), keep_interval_updates=2, keep_last_epochs=1)
    prune(save, ValidConfig(), end_of_epoch=False)
    assert left(tmp_path) == ["checkpoint10.pt", "checkpoint_1_9.pt", "checkpoint_2_10.pt"]
    save = SaveConfig(str(tmp_path), keep_interval_updates=1, keep_last_epochs=0)
    prune(save, ValidConfig(), end_of_epoch=True)
    assert left(tmp_path) == ["checkpoint_1_9.pt", "checkpoint_2_10.pt"]


@pytest.mark.parametrize(
    ("largest", "kept"), [(True, ["2.00000", "10.00000"]), (False, ["-1.50000", "2.00000"])]
)
def test_pruning_keeps_the_best_by_metric(tmp_path: Path, largest: bool, kept: list[str]) -> None:
    touch(tmp_path, *(f"checkpoint.best_r2_{value}.pt" for value in ("-1.50000", "2.00000", "10.00000")))
    touch(tmp_path, "checkpoint.best_loss_0.1.pt")
    save = SaveConfig(str(tmp_path), keep_last_epochs=-1, keep_best_checkpoints=2)
    valid = ValidConfig(best_checkpoint_metric="r2", maximize_best_checkpoint_metric=largest)
    prune(save, valid, end_of_epoch=True)
    expected = ["checkpoint.best_loss_0.1.pt", *(f"checkpoint.best_r2_{value}.pt" for value in kept)]
    assert left(tmp_path) == sorted(expected)


def test_a_folder_that_may_not_be_written_to_any_more_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(STATE, tmp_path, ["checkpoint_last.pt"])

    def refuse(self: Any, *arguments: object, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(MoleblendError, match=r"cannot write .*Permission denied.*as they were") as caught:
            write_checkpoint(STATE, tmp_path, ["checkpoint_last.pt"])
    assert "\n" not in str(caught.value)
    assert read_checkpoint(tmp_path / "checkpoint_last.pt")["optimizer_history"] == [{"num_updates": 3}]
