"""`moleblend build`: separate files as parts, words of a split column, chemprop's splits, duplicates told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore

PARTS = ("train", "valid", "test")


def run(*arguments: Path | int | str) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


def build(inputs: list[Path], out: Path, *options: Path | str) -> int:
    return run("build", *inputs, "--out", out, "--workers", 1, "--conformers", "none", *options)


def row_ids(out: Path) -> dict[str, list[str]]:
    stores = {part: out / f"{part}.lmdb" for part in PARTS}
    return {part: [r.row_id for r in MoleculeStore(path)] for part, path in stores.items() if path.exists()}


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.count("error: ") == 1
    assert "Traceback" not in text
    return text


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.csv").write_text("smiles,y,z\nC,1,5\nCC,2,5\nbad(,3,5\n")
    (folder / "valid.csv").write_text("z,y,smiles\n5,4,CCC\n")  # other order
    (folder / "test.csv").write_text("y,smiles\n6,CCCC\n7,CCCCC\n")
    return folder


EXPECTED = {
    "train": ["train.csv:0", "train.csv:1"],
    "valid": ["valid.csv:0"],
    "test": ["test.csv:0", "test.csv:1"],
}


@pytest.mark.parametrize("way", ["folder", "options", "files", "any order"])
def test_three_files_are_three_parts(files: Path, tmp_path: Path, way: str) -> None:
    train, valid, test = (files / f"{part}.csv" for part in PARTS)
    inputs, options = {
        "folder": ([files], ()),
        "options": ([train], ("--valid", valid, "--test", test)),
        "files": ([train, valid, test], ("--split", "files")),
        "any order": ([test, valid, train], ("--split", "files")),
    }[way]
    out = tmp_path / "out"
    assert build(inputs, out, "--target-columns", "y", *options) == 0
    assert row_ids(out) == EXPECTED
    assert [r.targets[0] for r in MoleculeStore(out / "test.lmdb")] == [6, 7]
    split = read(out / "split.json")
    assert split["method"] == "files"
    assert split["settings"] == {"files": {"train.csv": "train", "valid.csv": "valid", "test.csv": "test"}}
    report = read(out / "build_report.json")
    assert report["splits"] == {"train": 2, "valid": 1, "test": 2}
    assert {name: facts["rows"] for name, facts in report["sources"].items()} == {
        "train.csv": 3, "valid.csv": 1, "test.csv": 2,
    }  # fmt: skip


def test_files_of_one_name_in_folders_of_their_part(tmp_path: Path) -> None:
    for part, smiles in (("train", "C"), ("val", "CC"), ("Test", "CCC")):
        (tmp_path / part).mkdir()
        with gzip.open(tmp_path / part / "mols.smi.gz", "wt") as file:
            file.write(f"{smiles}\n")
    inputs = [tmp_path / part / "mols.smi.gz" for part in ("train", "val", "Test")]
    assert build(inputs, tmp_path / "out", "--split", "files") == 0
    assert row_ids(tmp_path / "out") == {
        "train": ["train/mols.smi.gz:0"], "valid": ["val/mols.smi.gz:0"], "test": ["Test/mols.smi.gz:0"],
    }  # fmt: skip


def test_an_exchange_of_parts_is_another_build(files: Path, tmp_path: Path) -> None:
    train, valid, test = (files / f"{part}.csv" for part in PARTS)
    options = ("--target-columns", "y", "--valid")
    assert build([train], tmp_path / "one", *options, valid, "--test", test) == 0
    assert build([train], tmp_path / "two", *options, test, "--test", valid) == 0
    one, two = (read(tmp_path / name / "build_report.json") for name in ("one", "two"))
    assert one["fingerprint"] != two["fingerprint"]
    assert two["splits"] == {"train": 2, "valid": 2, "test": 1}


def test_a_missing_label_column_is_told_before_the_work(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build([files], tmp_path / "out", "--target-columns", "y,z") == 2
    assert "test.csv has no column 'z'" in one_error(capsys)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*partial*"))


@pytest.mark.parametrize(
    ("valid", "test", "told"),
    [
        ("yes", "no", "numbers in train.csv, yes and no in valid.csv"),
        ("2", "toxic", "numbers in train.csv, toxic and nontoxic in test.csv"),
        ("2", "-3", ""),
    ],
)
def test_labels_of_several_kinds_in_files_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], valid: str, test: str, told: str
) -> None:
    labels = {"train": "1.5", "valid": valid, "test": test}
    for number, (part, label) in enumerate(labels.items(), 1):
        (tmp_path / f"{part}.csv").write_text(f"smiles,y\n{'C' * number}O,{label}\n")
    assert build([tmp_path / f"{part}.csv" for part in PARTS], tmp_path / "out", "--target-columns", "y") == 0
    errors = capsys.readouterr().err
    assert ("labels of y are of several kinds" in errors) == bool(told)
    assert told in errors


def test_what_names_no_part_is_one_line(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "more.csv").write_text("smiles,y\nC,1\n")
    assert build([files / "train.csv", files / "more.csv"], tmp_path / "out", "--split", "files") == 2
    assert "more.csv does not name its part; name it train, valid (val, dev) or test" in one_error(capsys)
    assert build([files], tmp_path / "out", "--target-columns", "y") == 0  # of a folder it is no part
    (files / "val.csv").write_text("smiles,y\nC,1\n")
    assert build([files], tmp_path / "again") == 2
    assert "val.csv and valid.csv, both valid by name" in one_error(capsys)


@pytest.mark.parametrize("split", ["random", "column:part"])
def test_parts_are_given_in_one_way(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    valid = ("--valid", files / "valid.csv")
    assert build([files / "train.csv"], tmp_path / "out", *valid, "--split", split) == 2
    assert f"got --split {split} too" in one_error(capsys)
    assert build([files], tmp_path / "out", *valid) == 2
    assert "is a folder" in one_error(capsys)


def test_words_that_name_no_part_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        "C,Train",
        "CC,VAL",
        "CCC, Test ",
        "CCCC,holdout",
        "CCCCC,holdout",
        "CO,",
        "CN,Validation",
        "CS,dev",
    ]
    (tmp_path / "a.csv").write_text("\n".join(["smiles,part", *rows]))
    assert build([tmp_path / "a.csv"], tmp_path / "out", "--split", "column:part") == 0
    assert row_ids(tmp_path / "out") == {
        "train": ["a.csv:0"], "valid": ["a.csv:1", "a.csv:6", "a.csv:7"], "test": ["a.csv:2"],
    }  # fmt: skip
    told = [line for line in capsys.readouterr().err.splitlines() if "holdout" in line]
    assert told == [
        "warning: column 'part' holds 'holdout' (2 rows), '' (1 rows), which name no part: "
        "such rows are rejected"
    ]
    assert read(tmp_path / "out" / "build_report.json")["unknown_split"] == {"holdout": 2, "": 1}
    (tmp_path / "b.csv").write_text("smiles,part\nC,a\nCC,b\nCCC,b\n")
    assert build([tmp_path / "b.csv"], tmp_path / "none", "--split", "column:part") == 2
    assert "part holds 'b' (2 rows), 'a' (1 rows)" in one_error(capsys)


@pytest.mark.parametrize(
    "content",
    [
        [{"train": [0, 2], "val": [1], "test": [3]}],
        [{"train": "0,2", "val": "1", "test": "3"}],
        {"Train": [0, 2], "Validation": [1], "TEST": [3]},
        {"train": [0, 2], "dev": [1], "test": "3-3"},
    ],
)
def test_splits_of_chemprop_are_read(
    tmp_path: Path, content: dict[str, list[int] | str] | list[dict[str, list[int] | str]]
) -> None:
    (tmp_path / "a.smi").write_text("C\nCC\nCCC\nCCCC\nCCCCC\n")
    (tmp_path / "splits.json").write_text(json.dumps(content))
    assert build([tmp_path / "a.smi"], tmp_path / "out", "--split", f"rows:{tmp_path / 'splits.json'}") == 0
    assert row_ids(tmp_path / "out") == {
        "train": ["a.smi:0", "a.smi:2"],
        "valid": ["a.smi:1"],
        "test": ["a.smi:3"],
    }


def test_of_several_replicates_one_is_taken_by_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.smi").write_text("C\nCC\nCCC\n")
    file = tmp_path / "splits.json"
    file.write_text(json.dumps([{"train": [0], "val": [1], "test": [2]}, {"train": [2, 1], "val": []}]))
    assert build([tmp_path / "a.smi"], tmp_path / "out", "--split", f"rows:{file}") == 2
    assert f"holds 2 splits; choose one by its number, such as --split rows:{file}:0" in one_error(capsys)
    assert build([tmp_path / "a.smi"], tmp_path / "out", "--split", f"rows:{file}:2") == 2
    assert "has no split 2; it holds 2, counted from 0" in one_error(capsys)
    assert build([tmp_path / "a.smi"], tmp_path / "out", "--split", f"rows:{file}:1") == 0
    assert row_ids(tmp_path / "out") == {"train": ["a.smi:1", "a.smi:2"]}
    assert read(tmp_path / "out" / "split.json")["settings"]["replicate"] == 1


TABLE = """smiles,y,t
CCO,1,0
[CH3:4][CH2:2][OH:9],3.5,0
C[S+](C)[O-],2,
CS(C)=O,2,1
c1ccccc1,1,1
C[C@H](N)C(=O)O,1,0
C[C@@H](N)C(=O)O,9,0
OCC,1,
"""


def test_duplicates_with_other_labels_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text(TABLE)
    assert build([tmp_path / "a.csv"], tmp_path / "out", "--target-columns", "y,t") == 0
    facts = read(tmp_path / "out" / "build_report.json")["duplicates"]
    assert (facts["molecules"], facts["rows"], facts["across_parts"]) == (2, 5, 0)
    assert facts["conflicts"] == {"molecules": 1, "tasks": {"y": {"molecules": 1, "largest_gap": 2.5}}}
    assert facts["examples"] == [
        {"row_ids": {"train": ["a.csv:0", "a.csv:1", "a.csv:7"]}, "conflicts": ["y"]},
        {"row_ids": {"train": ["a.csv:2", "a.csv:3"]}, "conflicts": []},
    ]
    told = [line for line in capsys.readouterr().err.splitlines() if "more than one row" in line]
    assert told == [
        "warning: 2 molecules stand in more than one row (5 rows); labels of 1 differ (by up to 2.5, y; such "
        "as a.csv:0, a.csv:1): see duplicates in build_report.json"
    ]


def test_duplicates_in_two_parts_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("smiles,part\nCCO,train\nOCC,test\nCC,train\nCC,train\n")
    assert build([tmp_path / "a.csv"], tmp_path / "out", "--split", "column:part") == 0
    assert (
        "2 molecules stand in more than one row (4 rows); 1 of them in more than one part"
        in capsys.readouterr().err
    )
    examples = read(tmp_path / "out" / "build_report.json")["duplicates"]["examples"]
    assert examples[0]["row_ids"] == {"train": ["a.csv:0"], "test": ["a.csv:1"]}


def test_molecules_of_their_own_are_no_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.smi").write_text("C\nCC\n")
    assert build([tmp_path / "a.smi"], tmp_path / "out") == 0
    assert "more than one" not in capsys.readouterr().err
    assert read(tmp_path / "out" / "build_report.json")["duplicates"]["molecules"] == 0
