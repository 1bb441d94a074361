"""Names, titles, data items and columns of an input are in whatever is made of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from moleblend_plugin.chem.readers.beside import Beside
from moleblend_plugin.cli.main import main
from moleblend_plugin.inference.npz_writer import open_arrays
from moleblend_plugin.inputs import open_molecules
from tests.checkpoints import property_checkpoint

SMI = "CCO ethanol  77\nbad(\tbroken\tone \nC\n"
CSV = 'name,smiles,predicted_y,row_id,note\nmine,CCO,7,r1,"two\nlines"\nbad,bad(,8,r2,"a, b"\n'


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt")


def run(*arguments: Path | int | str) -> int:
    """Exit code of the command line in this process."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def write_sdf(path: Path) -> None:
    """Two records; the second has another item, one of two lines, and items called as columns of ours."""
    items = [{"compound_id": "id-1", "smiles": "theirs"}, {"note": "a\nb", "title": "their title"}]
    with Chem.SDWriter(str(path)) as out:
        for number, given in enumerate(items):
            mol = Chem.MolFromSmiles("CC" + "O" * (number == 0))
            mol.SetProp("_Name", f"title-{number}")
            for name, value in given.items():
                mol.SetProp(name, value)
            out.write(mol)


def predicted(checkpoint: Path, path: Path, *options: object) -> list[list[str]]:
    out = path.with_suffix(".out.csv")
    given = ("--out", out, "--workers", 1, "--device", "cpu", *options)
    assert run("predict", checkpoint, path, *given) == 0
    return [row[:-2] for row in read(out)]


def test_names_of_a_list_are_in_predictions(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "q.smi").write_text(SMI)
    assert predicted(checkpoint, tmp_path / "q.smi") == [
        ["row_id", "smiles", "name"],
        ["q.smi:0", "CCO", "ethanol  77"],
        ["q.smi:1", "bad(", "broken\tone"],
        ["q.smi:2", "C", ""],
    ]


def test_a_list_without_names_has_no_column_of_them(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "q.smi").write_text("CCO\nC\n")
    assert predicted(checkpoint, tmp_path / "q.smi")[0] == ["row_id", "smiles"]


def test_titles_and_data_items_of_an_sdf_are_in_predictions(checkpoint: Path, tmp_path: Path) -> None:
    """The input's own names stay; ours, and the later of two, get an underscore."""
    write_sdf(tmp_path / "q.sdf")
    assert predicted(checkpoint, tmp_path / "q.sdf") == [
        ["row_id", "title_", "compound_id", "smiles", "note", "title"],
        ["q.sdf:0", "title-0", "id-1", "theirs", "", ""],
        ["q.sdf:1", "title-1", "", "", "a\nb", "their title"],
    ]


def test_columns_of_a_table_are_not_overwritten_by_ours(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(CSV)
    out = tmp_path / "out.csv"
    assert (
        run("predict", checkpoint, tmp_path / "q.csv", "--out", out, "--workers", 1, "--device", "cpu") == 0
    )
    header, good, bad = read(out)
    assert header == [
        "row_id_", "name", "smiles", "predicted_y", "row_id", "note", "predicted_y_", "reason",
    ]  # fmt: skip
    assert good[:6] == ["q.csv:0", "mine", "CCO", "7", "r1", "two\nlines"]
    assert bad[1:6] == ["bad", "bad(", "8", "r2", "a, b"]


def test_vectors_keep_them_too(checkpoint: Path, tmp_path: Path) -> None:
    write_sdf(tmp_path / "q.sdf")
    with (tmp_path / "q.sdf").open("a") as file:
        file.write("broken\n\n\nnothing\nM  END\n> <compound_id>\nid-9\n\n$$$$\n")
    given = ("--workers", 1, "--device", "cpu")
    assert run("embed", checkpoint, tmp_path / "q.sdf", "--out", tmp_path / "q.npz", *given) == 0
    with np.load(tmp_path / "q.npz", allow_pickle=False) as file:
        assert file["input_title_"].tolist() == ["title-0", "title-1"]
        assert file["input_compound_id"].tolist() == ["id-1", ""]
        assert file["input_note"].tolist() == ["", "a\nb"]
        assert file["failed_input_compound_id"].tolist() == ["id-9"]
        assert len(file["vectors"]) == 2


def test_a_table_of_many_columns_needs_few_open_files(tmp_path: Path) -> None:
    """617 columns of ToxCast, twice, are more than a process may have open."""
    with open_arrays(tmp_path / "a.npz") as arrays:
        columns = [arrays.text(f"../{number}") for number in range(1300)]
        for column in columns:
            column.append("x")
    with np.load(tmp_path / "a.npz") as file:
        assert len(file.files) == 1300
        assert file["../7"].tolist() == ["x"]


def test_rejected_rows_keep_names_items_and_columns(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text(SMI)
    (tmp_path / "b.csv").write_text('smiles,reason,y\nCCO,x,1\nbad(,why,2\nCCN,text,"a, b"\n')
    out = tmp_path / "out"
    given = ("--out", out, "--conformers", "none", "--workers", 1)
    assert run("build", tmp_path / "a.smi", *given) == 0
    assert read(out / "rejected.csv") == [
        ["row_id", "input", "reason", "name"],
        ["a.smi:1", "bad(", "SMILES syntax", "broken\tone"],
    ]
    assert run("build", tmp_path / "b.csv", *given, "--target-columns", "y", "--overwrite") == 0
    header, *rows = read(out / "rejected.csv")
    assert header == ["row_id", "input", "reason", "smiles", "reason_", "y"]
    assert [row[3:] for row in rows] == [["bad(", "why", "2"], ["CCN", "text", "a, b"]]


def test_values_of_an_npz_are_items(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "m.npz",
        n_atoms=[1, 1], n_bonds=[0, 0], atomic_number=[6, 7], formal_charge=[0, 0],
        pos_angstrom=np.zeros((2, 3)), bonds_i_j_order=np.zeros((0, 3), int), gdb=[11, 12],
    )  # fmt: skip
    source = open_molecules(tmp_path / "m.npz")
    columns = Beside(source)
    assert columns.names == ("title", "gdb")
    assert [columns.cells(row) for row in source] == [("m.npz:0", "11"), ("m.npz:1", "12")]


def test_scores_keep_them(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("id,smiles,y,label_y\na,CCO,1,mine\nb,CCN,2,theirs\n")
    outs = ("--out", tmp_path / "s.csv", "-o", tmp_path / "s.json", "--resamples", 20)
    assert run("score", checkpoint, tmp_path / "q.csv", *outs, "--workers", 1, "--device", "cpu") == 0
    header, first, _ = read(tmp_path / "s.csv")
    assert header == ["row_id", "id", "smiles", "y", "label_y", "label_y_", "predicted_y", "reason"]
    assert first[:6] == ["q.csv:0", "a", "CCO", "1", "mine", "1"]
    report = json.loads((tmp_path / "s.json").read_text())
    assert [row["row_id"] for row in report["predictions"]] == ["q.csv:0", "q.csv:1"]
