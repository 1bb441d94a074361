"""Parquet files are tables: the same rows, labels, columns and reasons as those of the equal CSV."""

from __future__ import annotations

import gzip
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.chem.readers.beside import Beside
from moleblend_plugin.chem.readers.columns import numeric_columns
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Columns
from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs import open_molecules
from tests.checkpoints import property_checkpoint

arrow = pytest.importorskip("pyarrow", reason="needs the extra [parquet]")
parquet = pytest.importorskip("pyarrow.parquet")

SMILES = ["CCO", "c1ccccc1", "C1CC", "CCN", "", "CC(=O)O", "CCCC", "smiles"]


def columns() -> dict[str, Any]:
    """A column of every type that has cells, with missing values."""
    return {
        "smiles": arrow.array(SMILES),
        "y": arrow.array([1.0, 0.1, 2.0, None, 3.0, 1e-7, 1e16, 2.0]),
        "single": arrow.array([0.1, 1.5, 2, None, float("nan"), 1e-7, 3e30, 2], arrow.float32()),
        "half": arrow.array(np.array([0.1, 1.5, 2, 3, 4, 5, 6, 7], np.float16)),
        "count": arrow.array([1, -2, 3, 4, None, 6, 7, 8], arrow.int64()),
        "byte": arrow.array(range(8), arrow.uint8()),
        "active": arrow.array([True, False, None, True, True, False, True, True]),
        "word": arrow.array(["yes", "no", "no", "yes", None, "no", "yes", "maybe"]),
        "comma": arrow.array(["1,5", "2,25", "3", "", "x", None, "7,5", "8"]),
        "note": arrow.array(['with "quotes"', "a, b", "line\nend", None, " blank ", "é", "#", "note"]),
        "large": arrow.array(["a"] * 8, arrow.large_string()),
        "kind": arrow.array(["a", "b", None, "a", "a", "b", "b", "a"]).dictionary_encode(),
        "bytes": arrow.array([b"a", b"\xc3\xa9", None, b"c", b"d", b"e", b"f", b"g"]),
        "nothing": arrow.nulls(8),
        "money": arrow.array([Decimal("1.50")] * 7 + [None]),
    }


def text(value: object) -> str:
    """A value as pandas writes it to a CSV."""
    if value is None or value != value:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)


def write_pair(folder: Path, rows_in_group: int = 3) -> tuple[Path, Path]:
    """The same table as Parquet and as CSV."""
    found = columns()
    parquet.write_table(arrow.table(found), folder / "a.parquet", row_group_size=rows_in_group)
    exact = {name: np.asarray(found[name]) for name in ("single", "half")}
    values = {name: [*exact.get(name, column.to_pylist())] for name, column in found.items()}
    lines = [list(values), *([text(value) for value in row] for row in zip(*values.values(), strict=True))]
    quoted = (",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines)
    (folder / "a.csv").write_text("\n".join(quoted) + "\n", encoding="utf-8")
    return folder / "a.parquet", folder / "a.csv"


def read(path: Path, *targets: str) -> list[tuple[object, ...]]:
    """Rows of a file, with what stands beside them and without its name."""
    source = open_molecules(path, Columns("smiles", targets))
    beside = Beside(source)
    assert beside.names == tuple(columns())
    rows = []
    for row in source:
        told = (row.text, repr(row.targets)) if isinstance(row, RawRow) else (row.text, row.reason)
        rows.append((row.row, *told, beside.cells(row)))
    return rows


@pytest.mark.parametrize(
    "targets", [(), ("y", "single", "count"), ("active",), ("word",), ("comma",), ("half", "byte", "money")]
)
def test_rows_are_those_of_the_equal_csv(tmp_path: Path, targets: tuple[str, ...]) -> None:
    found, equal = (read(path, *targets) for path in write_pair(tmp_path))
    assert found == equal
    assert len(found) == 8


def test_columns_of_numbers_are_those_of_the_csv(tmp_path: Path) -> None:
    found, equal = (numeric_columns(open_molecules(path)) for path in write_pair(tmp_path))
    assert found == equal
    assert "active" in found.taken


def test_an_index_of_pandas_is_no_label(tmp_path: Path) -> None:
    table = arrow.table({"smiles": ["C", "CC"], "y": [1.0, 2.0], "__index_level_0__": [0, 1]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert numeric_columns(open_molecules(tmp_path / "a.parquet")).taken == ("y",)


def run(*words: Path | int | str) -> int:
    """Exit code of the command line in this process."""
    try:
        main([str(word) for word in words])
    except SystemExit as done:
        return done.code or 0
    return 0


def test_stores_rejected_rows_and_predictions_are_those_of_the_csv(tmp_path: Path) -> None:
    checkpoint = property_checkpoint(tmp_path / "y.pt", ("y",))
    rejected, records, predictions = [], [], []
    for path in write_pair(tmp_path):
        out, table = tmp_path / f"{path.suffix[1:]}-out", tmp_path / f"{path.suffix[1:]}-predicted.csv"
        words = ("--target-columns", "y,count", "--conformers", "none", "--workers", 1)
        assert run("build", path, "--out", out, *words) == 0
        assert run("predict", checkpoint, path, "--out", table, "--workers", 1, "--device", "cpu") == 0
        rejected.append((out / "rejected.csv").read_text().replace(path.name, "a"))
        predictions.append(table.read_text().replace(path.name, "a"))
        store = MoleculeStore(out / "train.lmdb")
        records.append([(one.row, one.smiles, one.targets.tolist()) for one in store])
    for pair in (rejected, predictions):
        assert pair[0] == pair[1]
    assert repr(records[0]) == repr(records[1])  # NaN is NaN
    assert "SMILES syntax" in rejected[0]
    assert "header line again" not in rejected[0]


def test_times_and_lists(tmp_path: Path) -> None:
    """Times are as pandas writes them; lists are no cells, and may be neither SMILES nor labels."""
    when = [datetime(2026, 11, 30, 5, 0, 1, 500000), None]
    table = {
        "smiles": arrow.array(["C", "CC"]),
        "when": arrow.array(when, arrow.timestamp("ns")),
        "there": arrow.array(when, arrow.timestamp("us", tz="UTC")),
        "list": arrow.array([[1.0], [2.0, 3.0]]),
        "pair": arrow.array([{"a": 1}, None]),
    }
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table(table), path)
    source = open_molecules(path)
    beside, rows = Beside(source), list(source)
    assert beside.names == ("smiles", "when", "there")
    assert beside.cells(rows[0])[1:] == ("2026-11-30 05:00:01.5", "2026-11-30 05:00:01.5+00:00")
    assert source.notes == [
        "a.parquet has columns of lists or other nested types, which are left out: list, pair"
    ]
    for columns_asked, name in ((Columns(targets=("list",)), "list"), (Columns("pair"), "pair")):
        with pytest.raises(MoleblendError, match=f"column '{name}' holds .*, not one value in a row"):
            list(open_molecules(path, columns_asked))


def test_zero_bytes_and_bytes_of_another_encoding_are_told(tmp_path: Path) -> None:
    smiles, note = arrow.array(["C\0C", "CC"]), arrow.array([b"\xd0\xcf", b"a"])
    named = arrow.Array.from_buffers(arrow.string(), 2, note.buffers())
    table = arrow.table({"smiles": smiles, "note": note, "named": named})
    parquet.write_table(table, tmp_path / "a.parquet")
    source = open_molecules(tmp_path / "a.parquet")
    first, second = source
    assert first.reason == "zero byte: line 2"
    assert second.text == "CC"
    assert source.notes == ["a.parquet has bytes that are no UTF-8: write text as strings"]


def test_rows_are_counted_and_progress_is_known_without_reading_all(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"smiles": ["C"] * 10_000}), path)
    source = open_molecules(path)
    assert source.quick_count() == 10_000
    rows = iter(source)
    done = [source.fraction_read for _ in rows]
    assert done[0] == 0.0
    assert 0.4 < done[5_000] < 0.5
    assert source.fraction_read == 1.0


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8:40] = bytes(32)
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


FILES = {
    "empty": (lambda path: path.write_bytes(b""), "is no Parquet file: it is empty"),
    "cut": (cut, "is damaged or truncated"),
    "damaged": (damaged, "is damaged or truncated"),
    "text": (lambda path: path.write_text("a,b\n1,2\n"), "is no Parquet file: it begins with b'a,b"),
    "no rows": (
        lambda path: parquet.write_table(arrow.table({"smiles": arrow.array([], arrow.string())}), path),
        "has columns but no rows; nothing to build",
    ),
    "no smiles": (
        lambda path: parquet.write_table(arrow.table({"smile": ["C"]}), path),
        "has no column 'smiles'; did you mean 'smile'? (columns: smile); name the one of SMILES by",
    ),
    "gzip": (lambda path: path.write_bytes(gzip.compress(path.read_bytes())), "unpack it with gunzip"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_cannot_be_read_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"smiles": ["C" * n for n in range(1, 200)]}), path)
    act, words = FILES[name]
    act(path)
    out = tmp_path / "out"
    assert run("build", path, "--out", out, "--conformers", "none", "--workers", 1) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert line.startswith("error: ")
    assert words in line
    assert not out.exists()


def test_a_table_of_text_under_the_name_is_read_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("smiles,y\nCCO,1\n")
    source = open_molecules(tmp_path / "a.parquet", Columns(targets=("y",)))
    assert [row.targets for row in source] == [(1.0,)]
    assert source.notes == ["a.parquet is read as a table, although its name says a Parquet file"]


def test_without_pyarrow_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(arrow.table({"smiles": ["C"]}), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MoleblendError, match="which needs the package pyarrow: pip install pyarrow"):
        list(open_molecules(tmp_path / "a.parquet"))
