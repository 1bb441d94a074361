"""Inputs keep every row; tables and arrays are written whole or not at all."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.data.store.reader import StoreWriter
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.input_rows import Input
from moleblend_plugin.inference.inputs import open_input
from moleblend_plugin.inference.npz_writer import open_arrays
from moleblend_plugin.inference.outputs import predict_to_table
from moleblend_plugin.inference.table_writer import check_table, free_name, open_table
from moleblend_plugin.inputs import open_molecules
from tests.molecules import make_records

FLAT = ConversionConfig(None)


def facts(rows: Input) -> list[tuple[str, tuple[str, ...], str | None, str]]:
    return [(row.row_id, row.cells, row.record.smiles if row.record else None, row.reason) for row in rows]


def test_a_table_keeps_all_cells_of_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('name,SMILES,note\n\nx,OCC,"a, b"\n , ,\ny,bad(,\nz,C\nw,C,1,2\n')
    rows = Input(open_molecules(path), FLAT)
    assert rows.header == ("name", "SMILES", "note")
    assert facts(rows) == [
        ("a.csv:0", ("x", "OCC", "a, b"), "CCO", ""),
        ("a.csv:1", ("y", "bad(", ""), None, "SMILES syntax"),
        ("a.csv:2", ("z", "C", ""), "C", ""),
        ("a.csv:3", ("w", "C", "1"), None, "wrong number of cells: 4 instead of 3 (line 7)"),
    ]


def test_a_list_keeps_the_smiles_as_given(tmp_path: Path) -> None:
    path = tmp_path / "a.smi"
    path.write_text("OCC first\n# remark\nbad(\nC(C)O\n")
    rows = Input(open_molecules(path), FLAT)
    assert rows.header == ("smiles", "name")
    assert facts(rows) == [
        ("a.smi:0", ("OCC", "first"), "CCO", ""),
        ("a.smi:1", ("bad(", ""), None, "SMILES syntax"),
        ("a.smi:2", ("C(C)O", ""), "CCO", ""),
    ]


def test_many_rows_go_through_workers_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.smi"
    path.write_text("".join("C" * (1 + n % 20) + "\n" for n in range(300)))
    rows = Input(open_molecules(path), FLAT, workers=2)
    assert [row.record.n_atoms for row in rows] == [1 + n % 20 for n in range(300)]
    assert rows.source.fraction_read == 1.0


def test_without_canonical_smiles_rows_keep_their_own_unless_features_are_computed_of_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.smi"
    path.write_text("OCC first\nbad(\nC(C)O\n")
    reasons = ["", "SMILES syntax", ""]
    for featurizers, smiles in (((), ["OCC", None, "C(C)O"]), (("ecfp",), ["CCO", None, "CCO"])):
        rows = Input(open_molecules(path), FLAT, featurizers=featurizers, canonical=False)
        found = facts(rows)
        assert [fact[2] for fact in found] == smiles
        assert [fact[3] for fact in found] == reasons


class TwoTargets:
    """Stands for a network of which one output overflows for one molecule."""

    target_names = ("a", "b [m]")
    class_names = ()
    outputs = 2

    def predict_records(self, records: Any, batch_size: Any) -> Iterator[Any]:
        yield from (np.array([1.5, np.inf if record.smiles == "CCO" else 2.0]) for record in records)


def test_a_number_that_is_not_finite_is_no_prediction(tmp_path: Path) -> None:
    path = tmp_path / "a.smi"
    path.write_text("OCC\nC\nbad(\n")
    rows = Input(open_molecules(path), FLAT)
    counts = predict_to_table(TwoTargets(), rows, tmp_path / "p.csv", 4, lambda done: None)
    with (tmp_path / "p.csv").open(newline="") as table:
        rows = [(row["predicted_a"], row["predicted_b [m]"], row["reason"]) for row in csv.DictReader(table)]
    assert rows == [
        ("1.5", "", "the prediction is not finite: b [m]"),
        ("1.5", "2", ""),
        ("", "", "SMILES syntax"),
    ]
    assert (counts.rows, counts.done) == (3, 1)
    assert counts.reasons == {"the prediction is not finite": 1, "SMILES syntax": 1}


def test_a_store_is_read_as_it_is(tmp_path: Path) -> None:
    records = make_records([3, 600, 4])
    with StoreWriter(tmp_path / "train.lmdb", settings={}, sources={}) as writer:
        for record in records:
            writer.add(record)
    rows = list(Input(open_molecules(tmp_path / "train.lmdb"), FLAT))
    assert [row.row_id for row in rows] == ["made:0", "made:1", "made:2"]
    assert rows[1].reason == "more than 512 heavy atoms: 600"
    assert rows[2].record.coords.shape == (1, 4, 3)


def test_names_are_never_used_twice() -> None:
    assert free_name("reason", ["y", "reason", "reason_"]) == "reason__"


def test_a_csv_gives_float32_back_to_the_last_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=50).astype(np.float32)
    with open_table(tmp_path / "a.csv", {"name": "text", "y": "number"}) as table:
        for value in values:
            table.write(["a,b", float(value)])
        table.write(["", None])
    with (tmp_path / "a.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["name", "y"]
    assert lines[-1] == ["", ""]
    np.testing.assert_array_equal(np.array([line[1] for line in lines[:-1]], np.float32), values)


def test_a_table_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(TypeError), open_table(tmp_path / "a.csv", {"y": "number"}) as table:
        table.write(1.0)
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_parquet_has_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"name": "text", "y": "number", "v": "vector", "w": "vectors"}
    with open_table(tmp_path / "a.parquet", columns) as table:
        table.write(["a", 0.5, np.arange(3, dtype=np.float32), np.ones((2, 3), np.float32)])
        table.write(["b", None, None, None])
    assert parquet.read_table(tmp_path / "a.parquet").to_pylist() == [
        {"name": "a", "y": 0.5, "v": [0.0, 1.0, 2.0], "w": [[1.0] * 3] * 2},
        {"name": "b", "y": None, "v": None, "w": None},
    ]


def test_parquet_without_pyarrow_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MoleblendError, match=r"\.parquet needs the package pyarrow: pip install pyarrow"):
        check_table(tmp_path / "a.parquet")


def test_arrays_are_what_numpy_reads(tmp_path: Path) -> None:
    with open_arrays(tmp_path / "a.npz") as arrays:
        numbers, names = arrays.numbers("v", "float32", (2,)), arrays.text("id")
        empty, none = arrays.numbers("empty", "int64"), arrays.text("none")
        for row in range(5):
            numbers.extend([row, row / 2])
            names.append("é" * row)
        numbers.extend(np.zeros((3, 2)))
    assert (empty.rows, none.rows) == (0, 0)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["v"], [[n, n / 2] for n in range(5)] + [[0, 0]] * 3)
        assert file["v"].dtype == np.float32
        assert file["id"].tolist() == ["é" * row for row in range(5)]
        assert file["empty"].shape == file["none"].shape == (0,)
    assert os.listdir(tmp_path) == ["a.npz"]


def test_the_old_way_to_open_an_input_works_and_warns(tmp_path: Path) -> None:
    (tmp_path / "two.csv").write_text("smiles,y\nCCO,1\nC(,2\n")
    with pytest.warns(DeprecationWarning, match="open_input is now Input"):
        rows = list(open_input(tmp_path / "two.csv", ConversionConfig(None), smiles_column="smiles"))
    assert [row.record is not None for row in rows] == [True, False]
