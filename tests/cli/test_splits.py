"""`moleblend splits`: the report of a built folder, on the screen and as a file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore

TABLE = """smiles,active,y,part
C[C@H](N)C(=O)O,1,0.5,train
Cc1ccccc1,0,1.0,train
CCO,0,,train
CCO,1,3.0,valid
Nc1ccccc1,1,1.0,valid
C[C@@H](N)C(=O)O,,1.0,test
"""


def run(*arguments: Path | int | str) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits")
    (folder / "mols.csv").write_text(TABLE)
    options = (
        "--target-columns",
        "active,y",
        "--split",
        "column:part",
        "--workers",
        1,
        "--conformers",
        "none",
    )
    assert run("build", folder / "mols.csv", "--out", folder / "out", *options) == 0
    return folder / "out"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_report_on_the_screen(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("splits", built) == 0
    shown = lines(capsys)
    assert "train 3 2 1 1 0 in 0 0" in shown
    assert "train-valid 1 (1) 1 (1) 1 (1) 1" in shown
    assert "train-test 0 (0) 0 (0) 1 (1) 1" in shown
    assert "train-valid: molecules in both with different labels: 1 (largest difference 1, active)" in shown
    assert "valid: 1 of 2 tasks have one class or no label: active" in shown
    digest = json.loads((built / "split.json").read_text())["sha256"]
    assert f"split: column, sha256 {digest[:16]}" in shown


def test_the_report_as_a_file(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("splits", built, "--out", tmp_path / "report.json") == 0
    report = json.loads((tmp_path / "report.json").read_text())
    listed = json.loads((built / "split.json").read_text())
    assert report["split"] == {
        "sha256": listed["sha256"], "method": "column", "settings": {"column": "part"}, "matches": True,
    }  # fmt: skip
    assert report["parts"]["valid"]["tasks"]["active"]["positives"] == 2
    assert report["pairs"]["train-valid"]["examples"][0]["row_ids"] == {
        "train": ["mols.csv:2"], "valid": ["mols.csv:3"],
    }  # fmt: skip
    assert "report.json" in capsys.readouterr().out


def test_a_part_that_was_exchanged_is_noticed(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(built, tmp_path / "copy")
    shutil.copy(copy / "valid.lmdb", copy / "test.lmdb")
    assert run("splits", copy) == 0
    assert "the stores do not hold the rows that split.json lists" in capsys.readouterr().out
    (copy / "split.json").unlink()
    assert run("splits", copy) == 0
    assert "split: no split.json" in capsys.readouterr().out


def test_inspect_shows_the_hash(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("inspect", built) == 0
    digest = json.loads((built / "split.json").read_text())["sha256"]
    assert f"split.json: column, sha256 {digest[:16]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: shutil.rmtree(folder), "holds no train.lmdb, valid.lmdb or test.lmdb"),
        (
            lambda folder: (shutil.rmtree(folder), folder.touch()),
            "is a file; name the folder that holds its parts",
        ),
        (lambda folder: (folder / "split.json").write_text("{"), "split.json is damaged"),
        (lambda folder: (folder / "split.json").write_text("[]"), "split.json is damaged"),
        (lambda folder: (folder / "test.lmdb").write_text("x"), "test.lmdb cannot be read as an LMDB file"),
    ],
)
def test_a_folder_that_cannot_be_reported(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], prepare: Callable[..., Any], words: str
) -> None:
    copy = shutil.copytree(built, tmp_path / "copy")
    prepare(copy)
    assert run("splits", copy) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_stores_of_different_targets(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(built, tmp_path / "copy")
    (tmp_path / "mols.csv").write_text(TABLE)
    options = ("--target-columns", "y", "--workers", 1, "--conformers", "none")
    assert run("build", tmp_path / "mols.csv", "--out", tmp_path / "one", *options) == 0
    shutil.copy(tmp_path / "one" / "train.lmdb", copy / "train.lmdb")
    assert MoleculeStore(copy / "train.lmdb").meta.target_names == ("y",)
    assert run("splits", copy) == 2
    assert "the stores have different targets; build them together" in capsys.readouterr().err


def test_of_many_tasks_those_with_one_class_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"t{n}" for n in range(30)]
    rows = [
        ",".join(["C" * (1 + n), *(str(n % 2 if task != "t7" else 0) for task in names)]) for n in range(4)
    ]
    (tmp_path / "many.csv").write_text("\n".join([",".join(["smiles", *names]), *rows]))
    options = ("--target-columns", ",".join(names), "--workers", 1, "--conformers", "none")
    assert run("build", tmp_path / "many.csv", "--out", tmp_path / "out", *options) == 0
    capsys.readouterr()
    assert run("splits", tmp_path / "out") == 0
    shown = lines(capsys)
    assert "Positives/labels (missing): 1 of 30 tasks" in shown
    assert "t7 0/4 one class" in shown
