"""`moleblend predict`: every row of the input is a row of the output."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import StoreWriter
from tests.checkpoints import property_checkpoint
from tests.molecules import make_records

TABLE = """name,SMILES,reason
ethanol,OCC,
salt,[Na+].CC(=O)[O-],
bad,C1CC,mine
large,{chain},
larger,{longer},
none,,
late,CCO,
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt", ("y", "z"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mols.csv"
    path.write_text(TABLE.format(chain="C" * 300, longer="C" * 600))
    return path


def run(*arguments: Path | int | str) -> int:
    """Exit code of the command line in this process."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_there_with_a_number_or_a_reason(
    checkpoint: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert run("predict", checkpoint, table, "--out", out, "--workers", 1, "--device", "cpu") == 0
    rows = read(out)
    assert list(rows[0]) == ["row_id", "name", "SMILES", "reason", "predicted_y", "predicted_z", "reason_"]
    assert [row["row_id"] for row in rows] == [f"mols.csv:{number}" for number in range(7)]
    assert [row["name"] for row in rows] == ["ethanol", "salt", "bad", "large", "larger", "none", "late"]
    assert rows[2]["reason"] == "mine"
    assert [row["reason_"] for row in rows] == [
        "", "", "SMILES syntax", "", "more than 512 heavy atoms: 600", "empty SMILES", "",
    ]  # fmt: skip
    assert [row["predicted_y"] == "" for row in rows] == [bool(row["reason_"]) for row in rows]
    assert float(rows[0]["predicted_y"]) == pytest.approx(float(rows[6]["predicted_y"]), rel=1e-5)
    shown = capsys.readouterr()
    counts = [line.split() for line in shown.out.splitlines()]
    assert ["rows", "7"] in counts
    assert ["predicted", "4"] in counts
    assert ["1", "SMILES", "syntax"] in counts
    assert "2D only, as the network sees it" in shown.err


def test_batches_and_workers_change_nothing(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.smi"
    path.write_text("".join("C" * (1 + n % 30) + "O\n" for n in range(280)))
    tables = []
    for name, options in (("one", ("--workers", 1, "--batch-size", 7)), ("two", ("--workers", 2))):
        out = tmp_path / f"{name}.csv"
        assert run("predict", checkpoint, path, "--out", out, "--device", "cpu", *options) == 0
        tables.append(read(out))
    for left, right in zip(*tables, strict=True):
        assert (left["row_id"], left["smiles"]) == (right["row_id"], right["smiles"])
        assert float(left["predicted_y"]) == pytest.approx(float(right["predicted_y"]), rel=1e-5)


def test_a_store_is_an_input(checkpoint: Path, tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "test.lmdb", settings={}, sources={}) as writer:
        for record in make_records([3, 5]):
            writer.add(record)
    assert run("predict", checkpoint, tmp_path / "test.lmdb", "--out", tmp_path / "out.tsv") == 0
    lines = (tmp_path / "out.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["row_id", "smiles", "predicted_y", "predicted_z", "reason"]
    assert [line.split("\t")[:2] for line in lines[1:]] == [["made:0", "made-0"], ["made:1", "made-1"]]


def test_parquet_holds_the_same(checkpoint: Path, table: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("out.csv", "out.parquet"):
        assert run("predict", checkpoint, table, "--out", tmp_path / name, "--workers", 1) == 0
    left, right = read(tmp_path / "out.csv"), parquet.read_table(tmp_path / "out.parquet").to_pylist()
    for one, other in zip(left, right, strict=True):
        assert one["row_id"] == other["row_id"]
        assert (one["predicted_y"] == "") == (other["predicted_y"] is None)
        if other["predicted_y"] is not None:
            np.testing.assert_allclose(float(one["predicted_y"]), other["predicted_y"], rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("SMILE\nC\n", (), "has no column 'smiles'; did you mean 'SMILE'? (columns: SMILE)"),
        ("a,b\nC,C\n", ("--smiles-column", "c"), "has no column 'c' (columns: a, b)"),
        ("", (), "in.csv is empty; expected a header line and rows"),
        ("smiles\n", (), "in.csv has a header but no rows"),
        ("smiles\nC\n", ("--conformers", "0"), "--conformers 0: give a number from 1"),
        ("smiles\nC\n", ("--device", "gpu"), "device 'gpu' cannot be used here"),
        ("smiles\nC\n", ("--out", "-"), "--out - is not supported; name a file that ends in .csv or .tsv"),
        ("smiles\nC\n", ("--out", "out.txt"), "has no ending that names its format; use .csv or .tsv or"),
        ("smiles\nC\n", ("--out", "no/out.csv"), "the folder no does not exist; create it"),
        (None, (), "in.csv does not exist"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
    options: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "in.csv").write_text(content)
    before = os.listdir()
    assert run("predict", checkpoint, "in.csv", "--out", "out.csv", "--workers", 1, *options) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert os.listdir() == before


def test_an_output_is_replaced_only_when_asked(
    checkpoint: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.csv").write_text("mine")
    assert run("predict", checkpoint, table, "--out", tmp_path / "out.csv", "--workers", 1) == 2
    assert "already exists; name another file or add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out.csv").read_text() == "mine"
    options = ("--workers", 1, "--overwrite")
    assert run("predict", checkpoint, table, "--out", tmp_path / "out.csv", *options) == 0
    assert len(read(tmp_path / "out.csv")) == 7
