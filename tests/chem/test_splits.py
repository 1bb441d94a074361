"""Methods of `--split`: parsing, the arithmetic of parts, and files of given rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from moleblend_plugin.chem.identity.scaffold import scaffold_of, stereo_free
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.splits.given_rows import read_rows_file
from moleblend_plugin.splits.methods import SplitMethod, kfold_split, parse_split, random_split

TRAIN, VALID, TEST = range(3)


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("none", SplitMethod("none")),
        ("random", SplitMethod("random")),
        ("scaffold", SplitMethod("scaffold")),
        ("scaffold-achiral", SplitMethod("scaffold-achiral")),
        ("rows:a/b:c.json", SplitMethod("rows", "a/b:c.json")),
        ("column:part of: it", SplitMethod("column", "part of: it")),
        ("kfold:5:4", SplitMethod("kfold", folds=5, fold=4)),
    ],
)
def test_forms_of_split(text: str, method: SplitMethod) -> None:
    assert parse_split(text) == method


@pytest.mark.parametrize(
    "text", ["", "stratified", "random:3", "rows", "rows:", "column:", "scaffold:achiral"]
)
def test_unknown_forms_are_told_with_those_there_are(text: str) -> None:
    with pytest.raises(MoleblendError) as error:
        parse_split(text)
    assert f"--split {text!r} is unknown; use none, random, scaffold, " in str(error.value)


@pytest.mark.parametrize("text", ["kfold", "kfold:5", "kfold:5:5", "kfold:5:-1", "kfold:2:0", "kfold:a:b"])
def test_folds_that_do_not_exist(text: str) -> None:
    with pytest.raises(MoleblendError, match="needs K folds, at least 3"):
        parse_split(text)


@given(st.integers(0, 60), st.integers(3, 7), st.integers(0, 3))
def test_over_all_folds_every_molecule_is_tested_once_and_validates_once(
    count: Any, folds: Any, seed: Any
) -> None:
    splits = [kfold_split(count, folds, fold, seed) for fold in range(folds)]
    for molecule in range(count):
        parts = [split[molecule] for split in splits]
        assert parts.count(TEST) == parts.count(VALID) == 1
        # it validates in the fold before the one that tests it
        assert parts.index(VALID) == (parts.index(TEST) - 1) % folds
    sizes = [split.count(TEST) for split in splits]
    assert max(sizes) - min(sizes) <= 1


def test_seeds_decide_the_folds() -> None:
    assert kfold_split(50, 5, 1, 3) == kfold_split(50, 5, 1, 3) != kfold_split(50, 5, 1, 4)


@given(st.integers(0, 200), st.integers(0, 5))
def test_a_random_split_has_its_sizes(count: Any, seed: Any) -> None:
    parts = random_split(count, (0.5, 0.25, 0.25), seed)
    assert len(parts) == count
    assert abs(parts.count(TRAIN) - count / 2) <= 0.5
    assert abs(parts.count(VALID) - count / 4) <= 1


def test_settings_tell_what_decides() -> None:
    sizes = (0.8, 0.1, 0.1)
    assert parse_split("random").settings(sizes, 3) == {"sizes": [0.8, 0.1, 0.1], "seed": 3}
    assert parse_split("scaffold").settings(sizes, 3) == {"sizes": [0.8, 0.1, 0.1], "chirality": True}
    assert parse_split("scaffold-achiral").settings(sizes, 3)["chirality"] is False
    assert parse_split("kfold:4:1").settings(sizes, 3) == {"seed": 3, "folds": 4, "fold": 1}
    assert parse_split("none").settings(sizes, 3) == {}


def test_scaffolds_with_and_without_chirality() -> None:
    left, right = "C1C[C@@H](C2CC2)CO1", "C1C[C@H](C2CC2)CO1"
    assert scaffold_of(left) != scaffold_of(right)
    assert scaffold_of(left, chiral=False) == scaffold_of(right, chiral=False) == "C1CC(C2CC2)CO1"
    ring = "C1CCC/C=C/CCCC1"
    assert scaffold_of(ring, chiral=False) == scaffold_of(ring.replace("/C=C/", "/C=C\\"), chiral=False)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("C[C@H](N)C(=O)O", "OC(=O)[C@H](C)N", True),
        ("F/C=C/F", "F\\C=C/F", True),
        ("[2H]C(Cl)(Cl)Cl", "ClC(Cl)Cl", True),
        ("CCO", "COC", False),
    ],
)
def test_molecules_that_are_the_same_without_stereo(one: str, other: str, same: bool) -> None:
    assert (stereo_free(Chem.MolFromSmiles(one)) == stereo_free(Chem.MolFromSmiles(other))) is same


def rows_file(tmp_path: Path, **content: Any) -> Path:
    path = tmp_path / "split.json"
    path.write_text(json.dumps(content))
    return path


def test_a_given_split(tmp_path: Path) -> None:
    content = {"train": [4, 0], "valid": [2], "test": [1], "excluded_rows": [3], "n_rows": 6, "dataset": "x"}
    given_split = read_rows_file(rows_file(tmp_path, **content))
    assert [given_split.part_of(row) for row in range(6)] == ["train", "test", "valid", "", "train", ""]
    given_split.check_count(6, "a.csv")
    packed = tmp_path / "split.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(content).encode()))
    assert read_rows_file(packed).listed == given_split.listed
    assert read_rows_file(packed).sha256 != given_split.sha256


def test_train_may_be_what_is_left(tmp_path: Path) -> None:
    content = {"valid": [2], "test": [0], "excluded_rows": [3], "train_is_complement": True}
    given_split = read_rows_file(rows_file(tmp_path, **content))
    assert [given_split.part_of(row) for row in range(5)] == ["test", "train", "valid", "", "train"]
    listed = read_rows_file(rows_file(tmp_path, **content, train=[1]))  # a list that is there counts
    assert [listed.part_of(row) for row in range(5)] == ["test", "train", "valid", "", ""]


def test_rows_may_begin_at_one(tmp_path: Path) -> None:
    given_split = read_rows_file(rows_file(tmp_path, train=[1], valid=[], test=[2], row_base=1))
    assert [given_split.part_of(row) for row in range(3)] == ["train", "test", ""]


def test_a_key_is_taken_as_it_is(tmp_path: Path) -> None:
    given_split = read_rows_file(rows_file(tmp_path, train=[7], valid=[], test=[900], row_base=1, key="id"))
    assert (given_split.key, given_split.part_of(7), given_split.part_of(900)) == ("id", "train", "test")
    given_split.check_count(3, "a.csv")  # keys are no places: 900 is fine


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"valid": [], "test": []}, "has no list 'train'; add it, or train_is_complement: true"),
        ({"train": [], "test": []}, "has no list 'valid'; add it (it may be empty)"),
        ({"train": [], "val": [], "valid": [], "test": []}, "lists valid twice, once as 'valid'"),
        ({"train": [1], "valid": [1], "test": []}, "row 1 is listed in train and again in valid"),
        ({"train": [2, 2], "valid": [], "test": []}, "row 2 is listed in train and again in train"),
        ({"train": [-1], "valid": [], "test": []}, "train lists row -1; rows begin at 0"),
        ({"train": [0], "valid": [], "test": [], "row_base": 1}, "train lists row 0; rows begin at 1"),
        ({"train": [1.5], "valid": [], "test": []}, "train must be a list of whole numbers"),
        ({"train": [True], "valid": [], "test": []}, "train must be a list of whole numbers"),
        ({"train": {}, "valid": [], "test": []}, "train must be a list of whole numbers"),
        ({"train": [0], "valid": [], "test": [], "n_rows": "9"}, "n_rows is a number; got '9'"),
        ({"train": [0], "valid": [], "test": [], "row_base": 2}, "row_base is 0 or 1"),
    ],
)
def test_a_given_split_that_is_wrong(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    with pytest.raises(MoleblendError) as error:
        read_rows_file(rows_file(tmp_path, **content))
    assert words in str(error.value)
    assert "split.json" in str(error.value)


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("none.json", None, "cannot be read (No such file or directory); check the path"),
        ("a.json", b"train: 1", "is not JSON"),
        ("a.json", b"\xff\xfe\x00", "is not JSON"),
        ("a.json", b"[1, 2]", "holds no JSON object"),
        ("a.json.gz", b"{}", "has no list 'train'"),  # what a file holds, not its name, says how to read it
        ("a.json.gz", gzip.compress(b"{}" * 100, mtime=0)[:-9], "is not JSON"),
    ],
)
def test_a_file_that_is_no_split(tmp_path: Path, name: str, raw: bytes | None, words: str) -> None:
    if raw is not None:
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(MoleblendError) as error:
        read_rows_file(tmp_path / name)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"n_rows": 6}, "splits a table of 6 rows, a.csv has 5; give the table that it was made for"),
        ({"test": [5]}, "lists row 5, a.csv has 5 rows (0 to 4)"),
    ],
)
def test_a_given_split_of_another_table(
    tmp_path: Path, content: dict[str, int | list[int]], words: str
) -> None:
    given_split = read_rows_file(rows_file(tmp_path, **{"train": [0], "valid": [], "test": []} | content))
    with pytest.raises(MoleblendError) as error:
        given_split.check_count(5, "a.csv")
    assert words in str(error.value)
