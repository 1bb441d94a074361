"""A set of part of a table: the same rows every time, all of class 1, parts as given; names of columns."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from moleblend_plugin.bench.run.set_table import about_sample, with_table
from moleblend_plugin.bench.spec.config import SetSpec
from moleblend_plugin.bench.spec.recipes import Training
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.splits.given_rows import read_rows_file


def make_set(
    folder: Path, metric: str = "roc_auc", sample: int | None = 30, split: str = "random"
) -> SetSpec:
    """100 alcohols; rows 0, 10, 20 ... are of class 1 in the second task, row 5 has no label."""
    lines = [["smiles", "a", "b"]]
    lines += [["C" * (n + 1) + "O", "0", "" if n == 5 else str(int(n % 10 == 0))] for n in range(100)]
    with gzip.open(folder / "t.csv.gz", "wt", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)
    return SetSpec(
        name="t", table=folder / "t.csv.gz", split=split, smiles="smiles", targets=("a", "b"), metric=metric,
        conformers="none", loss="", training=Training(), sample=sample,
    )  # fmt: skip


def rows_of(spec: SetSpec) -> list[list[str]]:
    with spec.table.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))[1:]


def test_all_of_class_1_are_there_and_the_rest_is_drawn(tmp_path: Path) -> None:
    found = rows_of(with_table(make_set(tmp_path), tmp_path))
    lengths = [len(row[0]) - 2 for row in found]
    assert len(found) == 30
    assert {row for row in range(0, 100, 10)} <= set(lengths)
    assert lengths == sorted(lengths)
    assert found == rows_of(with_table(make_set(tmp_path), tmp_path))
    values = rows_of(with_table(make_set(tmp_path, "rmse"), tmp_path))
    assert len(values) == 30
    assert values != found


def test_given_rows_keep_their_parts(tmp_path: Path) -> None:
    parts = {"valid": list(range(60, 80)), "test": list(range(80, 95)), "excluded_rows": [0, 1, 2]}
    (tmp_path / "s.json").write_text(json.dumps(parts | {"train_is_complement": True}))
    spec = with_table(make_set(tmp_path, split=f"rows:{tmp_path / 's.json'}"), tmp_path)
    given = read_rows_file(spec.split.removeprefix("rows:"))
    for number, (smiles, *_) in enumerate(rows_of(spec)):
        row = len(smiles) - 2
        assert row > 2
        part = "valid" if 60 <= row < 80 else "test" if 80 <= row < 95 else "train"
        assert given.part_of(number) == part


def test_a_whole_set_stays_and_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    whole = make_set(tmp_path, sample=None)
    assert with_table(whole, tmp_path) is whole
    assert about_sample(whole) == ""
    assert "30 rows" in about_sample(make_set(tmp_path))
    (tmp_path / "t.csv.gz").write_bytes(b"\x1f\x8bnot packed")
    broken = replace(whole, sample=10)
    with pytest.raises(
        MoleblendError, match=r"t.csv.gz cannot be copied .* sample and header need a CSV file"
    ):
        with_table(broken, tmp_path)


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    whole = make_set(tmp_path, sample=None)
    spec = with_table(replace(whole, header=("smiles", "first", "second"), targets=("first",)), tmp_path)
    with spec.table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["smiles", "first", "second"]
    assert rows[1:3] == [["CO", "0", "1"], ["CCO", "0", "0"]]
    assert len(rows) == 101
    with pytest.raises(MoleblendError, match=r"t: header names 1 columns, .*t.csv.gz has 3; name all"):
        with_table(replace(whole, header=("smiles",)), tmp_path)
