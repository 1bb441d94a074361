"""Who trains and who tests: no molecule is in two parts, dates and groups are kept, given parts obeyed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.chem.identity.scaffold import scaffold_of
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.fitting.parts import Divided, divide
from moleblend_plugin.fitting.table import FitTable, read_table
from moleblend_plugin.splits.report import read_identities
from tests.fitting.tables import SMILES, usual_table, write_table

TWICE = (*SMILES[:20], *SMILES[:20])
"""20 molecules, each in two rows."""


def parted(path: Path, **options: object) -> tuple[FitTable, Divided]:
    table = read_table(FitOptions(data=str(path), **options), 1)  # type: ignore[arg-type]
    return table, divide(table, read_identities(table.records))


def held_out(found: Divided) -> list[int]:
    rows: list[int] = found.rows("test").tolist()
    return rows


@pytest.mark.parametrize("split", ["random", "stratified", "scaffold", "kfold:5:2"])
def test_rows_of_one_molecule_stay_together(tmp_path: Path, split: str) -> None:
    path = write_table(tmp_path / "t.csv", {"smiles": TWICE, "y": [n / 8 for n in range(40)]})
    _, found = parted(path, split=split, test_size=0.2)
    np.testing.assert_array_equal(found.parts[:20], found.parts[20:])
    assert 2 <= len(held_out(found)) <= 16


def test_a_random_split_is_of_its_size_and_seed(tmp_path: Path) -> None:
    path = usual_table(tmp_path / "t.csv")
    _, one = parted(path, seed=1, test_size=0.25)
    _, again = parted(path, seed=1, test_size=0.25)
    _, other = parted(path, seed=2, test_size=0.25)
    assert len(held_out(one)) == 10
    assert held_out(one) == held_out(again) != held_out(other)


def test_classes_are_divided_in_proportion(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", {"smiles": SMILES, "c": [1, 0, 0, 0] * 10})
    table, found = parted(path, test_size=0.2)
    assert found.method == "stratified"
    assert table.labels[held_out(found), 0].sum() == 2
    assert len(held_out(found)) == 8


def test_scaffolds_stay_together(tmp_path: Path) -> None:
    rings = ["c1ccccc1", "C1CCCCC1", "c1ccncc1", "c1ccsc1", "C1CCNCC1"]
    smiles = ["C" * length + ring for ring in rings for length in range(1, 9)]
    path = write_table(tmp_path / "t.csv", {"smiles": smiles, "y": [n / 8 for n in range(40)]})
    _, found = parted(path, split="scaffold", test_size=0.2)
    train = {scaffold_of(smiles[row]) for row in found.rows("train")}
    test = {scaffold_of(smiles[row]) for row in held_out(found)}
    assert train
    assert test
    assert not train & test


def test_groups_stay_together_and_join_with_molecules(tmp_path: Path) -> None:
    groups = [f"g{number % 10}" for number in range(40)]
    path = usual_table(tmp_path / "t.csv", batch=groups)
    table, found = parted(path, group_column="batch", test_size=0.2)
    assert table.names == ("logS",)
    held = {groups[row] for row in held_out(found)}
    assert held
    assert held.isdisjoint(groups[row] for row in found.rows("train"))


def test_the_latest_molecules_test(tmp_path: Path) -> None:
    days = [f"2024-{number // 4 + 1:02d}-{number % 4 + 1:02d}" for number in range(40)]
    _, found = parted(usual_table(tmp_path / "t.csv", day=days), date_column="day", test_size=0.1)
    assert held_out(found) == [36, 37, 38, 39]
    german = [f"{number % 4 + 1:02d}.{number // 4 + 1:02d}.2024" for number in range(40)]
    _, found = parted(usual_table(tmp_path / "t.csv", day=german), date_column="day", test_size=0.1)
    assert held_out(found) == [36, 37, 38, 39]


def test_a_molecule_known_before_does_not_test_again(tmp_path: Path) -> None:
    smiles = [*SMILES[:39], SMILES[0]]
    days = [str(1980 + number) for number in range(40)]
    path = write_table(tmp_path / "t.csv", {"smiles": smiles, "y": [n / 8 for n in range(40)], "year": days})
    _, found = parted(path, date_column="year", targets=("y",), test_size=0.1)
    assert 39 not in held_out(found)
    assert 38 in held_out(found)


def test_what_is_no_date(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="--date-column day holds 'soon'"):
        parted(usual_table(tmp_path / "t.csv", day=["soon"] * 40), date_column="day")


def test_parts_that_a_column_gives(tmp_path: Path) -> None:
    words = ["Train"] * 30 + ["val"] * 4 + ["test"] * 6
    _, found = parted(usual_table(tmp_path / "t.csv", set=words), split_column="set")
    assert held_out(found) == list(range(34, 40))
    assert found.rows("valid").tolist() == list(range(30, 34))
    assert any("join the training part" in note for note in found.notes)
    with pytest.raises(MoleblendError, match="'somewhere'"):
        parted(usual_table(tmp_path / "t.csv", set=["somewhere"] * 40), split_column="set")


def test_a_given_split_that_leaks_is_warned_of(tmp_path: Path) -> None:
    words = ["train"] * 30 + ["test"] * 10
    path = write_table(tmp_path / "t.csv", {"smiles": TWICE, "y": [n / 8 for n in range(40)], "set": words})
    _, found = parted(path, split_column="set")
    assert any("10 molecules are in two parts" in note for note in found.notes)


def test_rows_that_a_file_gives(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"train": list(range(30)), "valid": [], "test": [35, 36]}))
    _, found = parted(usual_table(tmp_path / "t.csv"), split=f"rows:{tmp_path / 's.json'}")
    assert held_out(found) == [35, 36]
    assert len(found.rows("train")) == 30


def test_files(tmp_path: Path) -> None:
    test = write_table(tmp_path / "b.csv", {"smiles": ["CCBr", "CCCBr"], "logS": [1.5, 2.5]})
    _, found = parted(usual_table(tmp_path / "a.csv"), test=(str(test),))
    assert held_out(found) == [40, 41]


def test_no_test_part(tmp_path: Path) -> None:
    _, found = parted(usual_table(tmp_path / "t.csv"), split="none")
    assert (found.method, held_out(found)) == ("none", [])


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="--split 'butina' is unknown"):
        parted(usual_table(tmp_path / "t.csv"), split="butina")
