"""`moleblend build --target-columns`: all columns of numbers, and labels that are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore


def build(path: Path, out: Path, *options: str) -> int:
    arguments = ["build", path, "--out", out, "--workers", 1, "--conformers", "none", *options]
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_all_takes_the_columns_of_numbers_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(
        tmp_path / "a.csv",
        "mol,name,y,part,class,empty,grade\nCCO,ethanol,1.5,train,0,,CI\nCCN,,,valid,NA,,CM\nC,,-2e3,test,1,nan,\n",
    )
    assert build(table, tmp_path / "out", "--target-columns", "all", "--split", "column:part") == 0
    store = MoleculeStore(tmp_path / "out" / "train.lmdb")
    assert store.meta.target_names == ("y", "class")
    np.testing.assert_array_equal(store[0].targets, [1.5, 0])
    shown = capsys.readouterr()
    assert shown.out.splitlines()[:2] == [
        "targets: 2 columns of numbers: y, class",
        "not taken: name (holds 'ethanol'), empty (no value in the first 1,000 rows), grade (holds 'CI')",
    ]
    assert "warning: valid holds no label of 2 of 2 targets: y, class" in shown.err
    report = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert report["labels"]["train"] == {"y": 1, "class": 1}
    assert report["labels"]["valid"] == {"y": 0, "class": 0}


def test_all_of_an_sdf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = (
        "x\n\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n    0.0000    0.0000    0.0000 {}   0  0\nM  END\n"
    )
    first = block.format("C") + "> <gap>\n1.5\n\n> <id>\na1\n\n$$$$\n"
    second = block.format("N") + "> <late>\n7\n\n$$$$\n"
    sdf = write(tmp_path / "a.sdf", first + second)
    assert build(sdf, tmp_path / "out", "--target-columns", "all") == 0
    store = MoleculeStore(tmp_path / "out" / "train.lmdb")
    assert store.meta.target_names == ("gap", "late")
    np.testing.assert_array_equal([r.targets for r in store], [[1.5, np.nan], [np.nan, 7]])


def test_all_of_an_npz(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz", n_atoms=[1, 1], n_bonds=[0, 0], atomic_number=[6, 7], formal_charge=[0, 0],
        pos_angstrom=np.zeros((2, 3)), bonds_i_j_order=np.zeros((0, 3), int), gap=[1.5, 2.5],
    )  # fmt: skip
    assert build(tmp_path / "a.npz", tmp_path / "out", "--target-columns", "all") == 0
    assert MoleculeStore(tmp_path / "out" / "train.lmdb").meta.target_names == ("gap",)


def test_a_word_far_down_costs_its_row_only(tmp_path: Path) -> None:
    rows = "".join(f"C,{n}\n" for n in range(1000))
    table = write(tmp_path / "a.csv", "smiles,y\n" + rows + "N,oops\nO,5\n")
    assert build(table, tmp_path / "out", "--target-columns", "all") == 0
    report = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert (report["rows"], report["molecules"], report["rejected"]) == (1002, 1001, 1)


@pytest.mark.parametrize(
    ("name", "text", "targets", "words"),
    [
        ("a.csv", "smiles,name\nC,x\n", "all",
         "no column of numbers for --target-columns all (name: holds 'x')"),
        ("a.csv", "smiles\nC\n", "all", "for --target-columns all (no columns)"),
        ("a.csv", "", "all", "a.csv is empty"),
        ("a.csv", "smiles,y\n", "all", "a.csv has a header but no rows"),
        ("a.sdf", "", "all", "holds no molecules"),
        ("a.smi", "C\n", "all", "a.smi has no named columns; --target-columns all needs a CSV, TSV"),
        ("a.csv", "smiles,activ,y\nC,1,2\n", "activ,Y", "a.csv has no column 'Y'; did you mean 'y'?"),
        ("a.csv", "smiles,y\nC,\nN,nan\n", "y", "none of the 2 molecules of a.csv has a label in 'y'; check"),
        (
            "a.csv", "smiles,y\nC,CI\nN,CM\n", "y",
            "(target is no number: 2; the first one: column 'y' holds 'CI', a word; classes are 0 and 1",
        ),
        ("a.csv", "smiles,y,y\nC,1,2\n", "all", "a.csv has 2 columns named 'y'; rename all but one"),
    ],
)  # fmt: skip
def test_columns_without_labels_are_one_line_and_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, targets: str, words: str
) -> None:
    path = write(tmp_path / name, text)
    assert build(path, tmp_path / "out", "--target-columns", targets) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_one_empty_column_of_several_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "a.csv", "smiles,y,z\nC,1,\nN,2,\n")
    assert build(table, tmp_path / "out", "--target-columns", "y,z") == 0
    assert "warning: train holds no label of 1 of 2 targets: z" in capsys.readouterr().err


def test_the_largest_molecules_and_mixtures_are_accounted_for(tmp_path: Path) -> None:
    """300 atoms and several fragments are molecules like others."""
    table = write(tmp_path / "a.csv", f"smiles,y\n{'C' * 300},1\nCCO.[Na+].[Cl-],2\n[H],3\n,4\n")
    assert build(table, tmp_path / "out", "--target-columns", "y") == 0
    store = MoleculeStore(tmp_path / "out" / "train.lmdb")
    assert [record.n_atoms for record in store] == [300, 5]
    report = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert (report["rows"], report["molecules"]) == (4, 2)
    assert report["rejected_by_reason"] == {"no heavy atoms": 1, "empty SMILES": 1}
