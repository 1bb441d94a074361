"""examples/30_pcqm4mv2/split_rows.py: the rows that a split file lists, read without running it."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moleblend_plugin.splits.given_rows import read_rows_file

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "30_pcqm4mv2" / "split_rows.py"
PARTS = {"train": [0, 1, 3], "valid": [2], "test-dev": [6, 4], "test-challenge": [5]}


def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    spec = importlib.util.spec_from_file_location("split_rows", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["split_rows.py", str(path), str(path.with_name("split.json"))])
    try:
        module.main()
    except SystemExit as done:
        return done.code
    return 0


def save(path: Path, content: dict[str, list[int]]) -> Path:
    torch.save({part: np.array(rows, np.int64) for part, rows in content.items()}, path)
    return path


def test_the_rows_become_a_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(save(tmp_path / "split_dict.pt", PARTS), monkeypatch) == 0
    assert capsys.readouterr().out == "train 3, valid 1, test 3\n"
    split = read_rows_file(tmp_path / "split.json")
    wanted = ["train", "train", "valid", "train", "test", "test", "test"]
    assert [split.part_of(row) for row in range(7)] == wanted
    split.check_count(7, "data.csv")
    assert set(json.loads((tmp_path / "split.json").read_text())) == {
        "n_rows", "train_is_complement", "valid", "test",
    }  # fmt: skip


def test_a_file_of_numpy_1_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = save(tmp_path / "new.pt", PARTS), tmp_path / "split_dict.pt"
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"numpy._core.", b"numpy.core."))
    assert old.read_bytes().count(b"numpy.core.multiarray") > 0
    assert run(old, monkeypatch) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"valid": [3]}, "does not list every row from 0 to 6 once"),
        ({"more": [7]}, "holds more, test-challenge"),
    ],
)
def test_another_split_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, list[int]],
    words: str,
) -> None:
    assert run(save(tmp_path / "split_dict.pt", PARTS | change), monkeypatch) == 2
    assert words in capsys.readouterr().err


class Harmful:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def test_a_file_that_would_run_code_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"train": Harmful()}, tmp_path / "split_dict.pt")
    monkeypatch.chdir(tmp_path)
    assert run(tmp_path / "split_dict.pt", monkeypatch) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "harm").exists()
