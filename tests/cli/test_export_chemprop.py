"""`moleblend export --format chemprop`: what chemprop reads, in its words."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore

TABLE = "smiles,y,split,part\nC,1.5,0,train\nbad(,2,0,train\nCC,,1,valid\nCCC,0.1,1,test\nCCCC,3,,train\n"


def run(*arguments: Path | int | str) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text(TABLE)
    options = (
        "--target-columns",
        "y,split",
        "--split",
        "column:part",
        "--workers",
        1,
        "--conformers",
        "none",
    )
    assert run("build", tmp_path / "a.csv", "--out", tmp_path / "set", *options) == 0
    return tmp_path / "set"


def test_a_table_with_the_words_of_chemprop(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "chemprop.csv"
    assert run("export", built, "--format", "chemprop", "--out", out) == 0
    assert "4 molecules written" in (shown := capsys.readouterr().out)
    assert "--splits-column split_" in shown  # a label has the name
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    # chemprop 2 takes rows of "train", "val" and "test" and leaves all others out
    taken = {
        word: [row["smiles"] for row in rows if row["split_"] == word] for word in ("train", "val", "test")
    }
    assert taken == {"train": ["C", "CCCC"], "val": ["CC"], "test": ["CCC"]}
    assert [(row["y"], row["split"]) for row in rows] == [
        ("1.5", "0.0"),
        ("3.0", ""),
        ("", "1.0"),
        ("0.1", "1.0"),
    ]


def test_what_is_exported_builds_the_same_parts(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "chemprop.csv"
    assert run("export", built, "--format", "chemprop", "--out", out) == 0
    options = (
        "--target-columns",
        "y,split",
        "--split",
        "column:split_",
        "--workers",
        1,
        "--conformers",
        "none",
    )
    assert run("build", out, "--out", tmp_path / "again", *options) == 0
    for part in ("train", "valid", "test"):
        one, two = (MoleculeStore(folder / f"{part}.lmdb") for folder in (built, tmp_path / "again"))
        assert [record.smiles for record in one] == [record.smiles for record in two]


def test_row_numbers_of_the_table_that_it_was_built_from(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "splits.json"
    assert run("export", built, "--format", "chemprop-splits", "--out", out) == 0
    assert json.loads(out.read_text()) == [{"train": [0, 4], "val": [2], "test": [3]}]
    options = ("--split", f"rows:{out}", "--workers", 1, "--conformers", "none")
    assert run("build", tmp_path / "a.csv", "--out", tmp_path / "again", *options) == 0
    one, two = (json.loads((folder / "split.json").read_text()) for folder in (built, tmp_path / "again"))
    assert one["sha256"] == two["sha256"]


def test_what_cannot_be_written_is_one_line(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.csv"
    for words, arguments in (
        ("already exists", (built, "--out", out)),
        ("is a folder; name a file", (built, "--out", built)),
    ):
        assert run("export", *arguments, "--format", "chemprop") == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert out.read_text() == TABLE
    (tmp_path / "b.csv").write_text("smiles\nC\n")
    options = ("--out", tmp_path / "two", "--workers", 1, "--conformers", "none")
    assert run("build", tmp_path / "a.csv", tmp_path / "b.csv", *options) == 0
    assert run("export", tmp_path / "two", "--format", "chemprop-splits", "--out", tmp_path / "s.json") == 2
    assert "come from 2 files (a.csv, b.csv)" in capsys.readouterr().err
    assert not (tmp_path / "s.json").exists()
