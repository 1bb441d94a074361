"""Tables of all kinds as molecules with labels; what is rejected keeps its columns."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.fitting.table import FitTable, read_table, write_rejected
from tests.fitting.tables import SMILES, usual_table, write_table


def read(path: Path, **options: object) -> FitTable:
    return read_table(FitOptions(data=str(path), **options), 1)  # type: ignore[arg-type]


def test_columns_are_found_and_said(tmp_path: Path) -> None:
    table = read(usual_table(tmp_path / "t.csv"))
    assert (table.names, table.kind, len(table.kept)) == (("logS",), "regression", 40)
    assert table.options.targets == ("logS",)
    assert table.options.smiles_column == "smiles"
    assert any("logS" in note for note in table.notes)
    assert any("smiles" in note for note in table.notes)
    assert table.labels[0, 0] == pytest.approx(-0.6)
    np.testing.assert_array_equal(table.records[3].targets, table.labels[3])


def test_smiles_are_found_by_what_stands_there(tmp_path: Path) -> None:
    table = read(
        write_table(tmp_path / "t.csv", {"structure": SMILES, "y": range(0, 80, 2), "code": ["C", "N"] * 20})
    )
    assert table.held.smiles_column == "structure"
    assert any("by what stands in it" in note for note in table.notes)


def test_two_columns_of_smiles_are_a_question(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", {"a": SMILES, "b": SMILES, "y": range(0, 80, 2)})
    with pytest.raises(MoleblendError, match="a, b.*--smiles-column"):
        read(path)
    assert read(path, smiles_column="b").held.smiles_column == "b"


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators(tmp_path: Path, separator: str) -> None:
    table = read(
        write_table(tmp_path / "t.csv", {"smiles": SMILES, "y": [n / 8 for n in range(40)]}, separator)
    )
    assert (table.names, len(table.kept)) == (("y",), 40)


def test_decimal_commas_gzip_and_encoding(tmp_path: Path) -> None:
    rows = ["Größe;smiles", *(f"{n / 8:.3f};{text}".replace(".", ",") for n, text in enumerate(SMILES))]
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode("cp1252")))
    table = read(tmp_path / "t.csv.gz")
    assert table.names == ("Größe",)
    assert table.labels[9, 0] == pytest.approx(1.125)
    assert any("decimal commas" in note for note in table.notes)


@pytest.mark.parametrize("pair", [("active", "inactive"), ("True", "False"), ("yes", "no"), ("1", "0")])
def test_two_classes(tmp_path: Path, pair: tuple[str, str]) -> None:
    table = read(write_table(tmp_path / "t.csv", {"smiles": SMILES, "c": [*pair] * 20}))
    assert table.kind == "classification"
    assert table.labels[:2, 0].tolist() == [1, 0]


def test_words_of_ones_own(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", {"smiles": SMILES, "c": ["blocker", "free"] * 20})
    with pytest.raises(MoleblendError, match="--positive"):
        read(path)
    table = read(path, positive=("blocker",))
    assert (table.labels[0, 0], table.options.negative) == (1, ("free",))


def test_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="0 molecules of class 1"):
        read(write_table(tmp_path / "t.csv", {"smiles": SMILES, "c": [0] * 40}))


def test_bounds_need_a_word(tmp_path: Path) -> None:
    labels = [">10" if n == 3 else n / 8 for n in range(40)]
    path = write_table(tmp_path / "t.csv", {"smiles": SMILES, "y": labels})
    with pytest.raises(MoleblendError, match="1 bounds, such as '>10': give --censored drop"):
        read(path)
    assert read(path, censored="value").labels[3, 0] == 10
    dropped = read(path, censored="drop")
    assert len(dropped.kept) == 39
    assert "no label" in dropped.rejected[3]


def test_rejected_rows_keep_names_and_columns(tmp_path: Path) -> None:
    smiles = [*SMILES[:38], "C1CC", "not a molecule"]
    labels = ["", "insoluble", *(n / 8 for n in range(38))]
    path = write_table(
        tmp_path / "t.csv", {"reason": [f"r{n}" for n in range(40)], "smiles": smiles, "y": labels}
    )
    table = read(path, targets=("y",))
    write_rejected(tmp_path / "rejected.csv", table)
    with (tmp_path / "rejected.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row_id"] for row in rows] == ["t.csv:0", "t.csv:1", "t.csv:38", "t.csv:39"]
    assert rows[2]["reason_"] == "r38"
    assert rows[2]["smiles"] == "C1CC"
    assert "no label" in rows[0]["reason"]
    assert "insoluble" in rows[1]["reason"]


def test_missing_words_are_missing_labels(tmp_path: Path) -> None:
    labels = ["#N/A", "-", "NULL", "?", *range(0, 72, 2)]
    table = read(write_table(tmp_path / "t.csv", {"smiles": SMILES, "y": labels}))
    assert len(table.kept) == 36
    assert {reason.partition(" in")[0] for reason in table.rejected.values()} == {"no label"}


def test_weights(tmp_path: Path) -> None:
    path = usual_table(tmp_path / "t.csv", w=[1.0, "x", *[2.5] * 38])
    table = read(path, weights_column="w")
    assert table.names == ("logS",)
    assert table.weights is not None
    assert table.weights.tolist() == [1.0, *[2.5] * 38]
    assert "weight" in table.rejected[1]


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="--weights-column.*no column 'w'"):
        read(usual_table(tmp_path / "t.csv"), weights_column="w")
    with pytest.raises(MoleblendError, match="did you mean 'logS'"):
        read(usual_table(tmp_path / "t.csv"), targets=("LOGS",))


def test_a_few_rows_are_too_few(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", {"smiles": SMILES[:9], "y": [n / 8 for n in range(9)]})
    with pytest.raises(MoleblendError, match="9 molecules with labels"):
        read(path)


def test_an_sdf_with_data_items(tmp_path: Path) -> None:
    with Chem.SDWriter(str(tmp_path / "t.sdf")) as out:
        for number, text in enumerate(SMILES):
            mol = Chem.MolFromSmiles(text)
            mol.SetProp("_Name", f"title-{number}")
            mol.SetProp("logS", str(number / 8))
            mol.SetProp("batch", f"b{number}")
            out.write(mol)
    table = read(tmp_path / "t.sdf")
    assert (table.names, len(table.kept)) == (("logS",), 40)
    assert table.held.cells[5][table.held.header.index("title")] == "title-5"
    assert table.held.cells[5][table.held.header.index("batch")] == "b5"


def test_separate_files(tmp_path: Path) -> None:
    usual_table(tmp_path / "a.csv")
    test = write_table(tmp_path / "b.csv", {"logS": [1.5, 2.5], "smiles": ["CCBr", "CCCBr"]})
    table = read(tmp_path / "a.csv", test=(str(test),))
    assert table.held.parts[-2:] == ["test", "test"]
    assert table.held.cells[-1] == ("", "CCCBr", "2.5")
    assert table.labels[-1, 0] == 2.5
