"""`moleblend build --split`: given rows, folds, scaffolds without chirality, and split.json."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore

PARTS = ("train", "valid", "test")

# A blank line and bad rows, as public tables have them: rows 2 (no molecule) and 4 (a label of text).
TABLE = """smiles,y,id
CCO,1,100
CCN,0,101
not a molecule,1,102

CCC,1,103
CCCl,yes,104
CCBr,0,105
CCF,1,106
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mols.csv"
    path.write_text(TABLE)
    return path


def build(path: Path, out: Path, *options: Path | int | str) -> int:
    arguments = ["build", path, "--out", out, "--workers", 1, "--conformers", "none", *options]
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


def rows(out: Path) -> dict[str, list[int]]:
    """{part: rows in store order}."""
    stores = {part: out / f"{part}.lmdb" for part in PARTS}
    return {part: [r.row for r in MoleculeStore(p)] for part, p in stores.items() if p.exists()}


def given_rows(tmp_path: Path, **content: int | list[int] | str) -> str:
    path = tmp_path / "given.json"
    path.write_text(json.dumps(content))
    return f"rows:{path}"


def read(out: Path, name: str) -> dict[str, Any]:
    return json.loads((out / name).read_text())


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_given_rows_count_bad_rows_and_leave_out_the_others(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    split = given_rows(tmp_path, train=[6, 0, 2], valid=[3], test=[1], excluded_rows=[4], n_rows=7)
    assert build(table, out, "--split", split, "--target-columns", "y") == 0
    assert rows(out) == {"train": [0, 6], "valid": [3], "test": [1]}
    assert [r.smiles for r in MoleculeStore(out / "valid.lmdb")] == ["CCC"]
    report = read(out, "build_report.json")
    assert (report["rows"], report["molecules"], report["rejected"], report["excluded"]) == (7, 4, 1, 2)
    assert report["rejected_by_reason"] == {"SMILES syntax": 1}  # row 4 is left out before it is read
    assert read(out, "split.json")["excluded"]["row_ids"] == ["mols.csv:4", "mols.csv:5"]
    assert "in no part of the given split" in capsys.readouterr().out


def test_split_json_names_and_hashes_every_row(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    split = given_rows(tmp_path, train=[6, 0], valid=[3], test=[1], row_base=0)
    assert build(table, out, "--split", split) == 0
    file = read(out, "split.json")
    parts = {
        "train": {
            "molecules": 2,
            "sha256": digest("mols.csv:0\nmols.csv:6\n"),
            "row_ids": ["mols.csv:0", "mols.csv:6"],
        },
        "valid": {"molecules": 1, "sha256": digest("mols.csv:3\n"), "row_ids": ["mols.csv:3"]},
        "test": {"molecules": 1, "sha256": digest("mols.csv:1\n"), "row_ids": ["mols.csv:1"]},
    }
    assert file["parts"] == parts
    assert file["sha256"] == digest("".join(f"{part} {parts[part]['sha256']}\n" for part in PARTS))
    assert file["method"] == "rows"
    assert file["settings"] == {"file": "given.json", "sha256": digest((tmp_path / "given.json").read_text())}
    assert read(out, "build_report.json")["split_sha256"] == file["sha256"]
    settings = MoleculeStore(out / "train.lmdb").meta.settings
    assert (settings["split"], settings["split_file"]) == ("rows", file["settings"])
    assert sorted(item.name for item in out.iterdir()) == sorted(
        ["build_report.json", "rejected.csv", "split.json", *(f"{part}.lmdb" for part in PARTS)]
    )


def test_train_is_what_no_list_names(table: Path, tmp_path: Path) -> None:
    split = given_rows(tmp_path, valid=[3], test=[1], excluded_rows=[0], train_is_complement=True)
    assert build(table, tmp_path / "out", "--split", split) == 0
    assert rows(tmp_path / "out") == {"train": [4, 5, 6], "valid": [3], "test": [1]}


def test_rows_by_the_values_of_a_column(table: Path, tmp_path: Path) -> None:
    table.write_text(TABLE + "CCI,1,x\n")
    split = given_rows(tmp_path, train=[100, 7], valid=[103], test=[101, 106], key="id")
    assert build(table, tmp_path / "out", "--split", split) == 0
    assert rows(tmp_path / "out") == {"train": [0], "valid": [3], "test": [1, 6]}
    assert (
        "unknown split: column 'id' holds 'x', not a whole number"
        in (tmp_path / "out" / "rejected.csv").read_text()
    )
    assert read(tmp_path / "out", "split.json")["settings"]["key"] == "id"


def test_a_split_for_another_table_stops_before_the_work(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = given_rows(tmp_path, train=[0], valid=[1], test=[2], n_rows=8)
    assert build(table, tmp_path / "out", "--split", split) == 2
    assert "splits a table of 8 rows, mols.csv has 7" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert build(table, tmp_path / "out", "--split", split, "--limit", 2) == 0  # a part of it is wanted


def test_given_rows_need_one_table(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "more.csv").write_text("smiles\nC\n")
    split = given_rows(tmp_path, train=[0], valid=[1], test=[2])
    assert build(table, tmp_path / "out", tmp_path / "more.csv", "--split", split) == 2
    assert "numbers the rows of one table; got 2 inputs" in capsys.readouterr().err


def test_a_split_that_leaves_nothing_says_so(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = given_rows(tmp_path, train=[], valid=[], test=[2])
    assert build(table, tmp_path / "out", "--split", split) == 2
    line = capsys.readouterr().err
    assert "no row of mols.csv is a molecule (SMILES syntax: 1; excluded by the split: 6)" in line


def test_strict_does_not_mind_bad_rows_that_are_left_out(table: Path, tmp_path: Path) -> None:
    split = given_rows(tmp_path, train=[0], valid=[1], test=[3], excluded_rows=[2])
    assert build(table, tmp_path / "out", "--split", split, "--strict") == 0


def test_folds_test_every_molecule_once(tmp_path: Path) -> None:
    source = tmp_path / "a.smi"
    source.write_text("".join("C" * (1 + n) + "\n" for n in range(11)))
    tested, validated = [], []
    for fold in range(3):
        out = tmp_path / f"out{fold}"
        assert build(source, out, "--split", f"kfold:3:{fold}", "--seed", 4) == 0
        found = rows(out)
        assert sorted(sum(found.values(), [])) == list(range(11))
        tested.append(found["test"])
        validated.append(found["valid"])
        assert read(out, "split.json")["settings"] == {"seed": 4, "folds": 3, "fold": fold}
    assert sorted(sum(tested, [])) == list(range(11))
    assert validated == [tested[1], tested[2], tested[0]]


def test_scaffolds_with_chirality_are_parted_and_without_it_are_one(tmp_path: Path) -> None:
    left, right = "C1C[C@@H](C2CC2)CO1", "C1C[C@H](C2CC2)CO1"
    lines = [f"{'C' * (n + 1)}{scaffold}" for n in range(4) for scaffold in (left, right)]
    (tmp_path / "a.smi").write_text("\n".join(lines))
    sizes = ("--split-sizes", "0.5,0.25,0.25")
    assert build(tmp_path / "a.smi", tmp_path / "chiral", "--split", "scaffold", *sizes) == 0
    assert rows(tmp_path / "chiral") == {"train": [1, 3, 5, 7], "test": [0, 2, 4, 6]}
    assert build(tmp_path / "a.smi", tmp_path / "flat", "--split", "scaffold-achiral", *sizes) == 0
    assert rows(tmp_path / "flat") == {"test": list(range(8))}  # one set of eight fits nowhere else
    assert read(tmp_path / "flat", "split.json")["settings"]["chirality"] is False


def test_a_hash_tells_splits_apart(tmp_path: Path) -> None:
    source = tmp_path / "a.smi"
    source.write_text("".join("C" * (1 + n) + "\n" for n in range(30)))
    hashes = []
    for name, options in (
        ("a", ("--seed", 1)),
        ("b", ("--seed", 1, "--conformers", 1)),
        ("c", ("--seed", 2)),
    ):
        assert build(source, tmp_path / name, "--split", "random", *options) == 0
        hashes.append(read(tmp_path / name, "split.json")["sha256"])
    assert hashes[0] == hashes[1] != hashes[2]  # the split does not depend on conformers


def test_store_order_is_the_order_of_the_list(tmp_path: Path) -> None:
    source = tmp_path / "a.smi"
    source.write_text("".join("C" * (1 + n) + "\n" for n in range(30)))
    assert build(source, tmp_path / "out", "--split", "random", "--split-sizes", "0.5,0.2,0.3") == 0
    file = read(tmp_path / "out", "split.json")
    for part in PARTS:
        store = MoleculeStore(tmp_path / "out" / f"{part}.lmdb")
        np.testing.assert_array_equal([r.row_id for r in store], file["parts"][part]["row_ids"])
        assert file["parts"][part]["molecules"] == len(store)
