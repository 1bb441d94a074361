"""A file's format is told by what it holds; its name decides only where content does not."""

from __future__ import annotations

import gzip
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Columns
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs import open_molecules
from moleblend_plugin.inputs.formats import FORMATS
from tests.inputs.files import Piped, as_list, as_sdf, as_table, pipe, write_file, write_npz, write_unimol

LIST, TABLE, SDF = "a list of SMILES", "a table", "an SDF"


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("a.txt", as_table(","), TABLE),
        ("a", as_table("\t"), TABLE),
        ("a.dat.gz", as_table(";"), TABLE),
        ("a.txt", as_list(), LIST),
        ("a.txt", "structure,y\nCCO,1\nCCN,2\n", TABLE),  # its reader asks for --smiles-column
        ("a.txt", "# made by hand\nCCO\n", LIST),
        ("a.txt", as_sdf(), SDF),
        ("a.txt", as_sdf().replace("\n", "\r\n"), SDF),
        ("a.txt", "sep=;\nsmiles;y\nCCO;1\n", TABLE),
        ("a.txt", "#smiles,y\nCCO,1\n", TABLE),
        # The name decides between what is possible.
        ("a.smi", "smiles,y\nCCO,1\n", LIST),
        ("a.csv", "smiles,y\nCCO,1\n", TABLE),
        ("a.smi", "smiles name\nCCO ethanol\n", LIST),
        ("a.csv", "CCO,1\nCCN,2\n", TABLE),  # a table without header, as its reader says
        ("a.smi", "CCO,1\nCCN,2\n", LIST),
        ("a.csv", "structure\nCCO\nCCN\n", TABLE),
        ("a.sdf", "smiles\n\n\nbroken\n$$$$\n", SDF),
        # The name decides where content says nothing.
        ("a.csv", "", TABLE),
        ("a.smi", "bad(\nworse(\n", LIST),
        ("a.sdf", "broken\nnothing\n$$$$\n", SDF),
        ("a.csv", "a,b\n1,2,3\n", TABLE),
    ],
)
def test_text(tmp_path: Path, name: str, content: str, title: str) -> None:
    data = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    source = open_molecules(tmp_path / name)
    assert source.format.title == title
    assert not any("although its name says" in note for note in source.notes)


@pytest.mark.parametrize(
    ("name", "content", "title", "told"),
    [
        ("a.csv", as_sdf(), SDF, TABLE),
        ("a.smi", as_sdf(), SDF, LIST),
        ("a.csv", "CCO\nCCN\nc1ccccc1\n", LIST, TABLE),
        ("a.tsv", as_list(), LIST, TABLE),
        ("a.sdf", as_table(","), TABLE, SDF),
        ("a.mol", "CCO\nCCN\n", LIST, SDF),
        ("a.lmdb", as_table(","), TABLE, "a file of Uni-Mol"),
        ("a.npz", as_list(), LIST, "an .npz"),
        ("a.sdf.gz", as_table(","), TABLE, SDF),
    ],
)
def test_content_wins_over_the_name_and_a_note_says_so(
    tmp_path: Path, name: str, content: str, title: str, told: str
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    source = open_molecules(tmp_path / name)
    rows = list(source)
    assert source.format.title == title
    assert all(isinstance(row, RawRow) for row in rows)
    assert rows
    assert f"{name} is read as {title}, although its name says {told}" in source.notes
    assert source.again().notes == []  # until it is read


@pytest.mark.parametrize(("write", "title"), [(write_npz, "an .npz"), (write_unimol, "a file of Uni-Mol")])
def test_binary_files_need_no_ending(tmp_path: Path, write: Callable[..., Any], title: str) -> None:
    write(tmp_path / "a.csv")
    source = open_molecules(tmp_path / "a.csv")
    assert source.format.title == title
    assert len(list(source)) == 4


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"ARROW1\0\0", "an Arrow file"),
        (pickle.dumps([1]), "is a pickle, which is not read"),
        (pickle.dumps([1], 2), "is a pickle"),
        (
            b"@<TRIPOS>MOLECULE\nx\n",
            "is a MOL2 file, which is not read: convert it: obabel in.mol2 -O out.sdf",
        ),
        (b"HETATM    1  C   LIG A   1\n", "is a PDB file"),
        (b"2\nwater\nO 0.0 0.0 0.1\nH 0.0 1.0 0.1\n", "is an XYZ file, which has no bonds"),
        (b"$RXN\n", "is a reaction"),
        (b'[{"smiles": "CCO"}]', "is a JSON file"),
        (b"neither fish nor fowl\n", "begins with 'neither fish nor fowl', and its name has no ending"),
        (b"", "is empty or no text, and its name has no ending"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_not_read_is_named_with_the_remedy(
    tmp_path: Path, data: bytes, words: str, packed: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(MoleblendError) as caught:
        open_molecules(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_and_packed_binaries_are_named(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "a.csv").execute("CREATE TABLE t (a)")
    write_unimol(tmp_path / "u.lmdb")
    (tmp_path / "u.lmdb.gz").write_bytes(gzip.compress((tmp_path / "u.lmdb").read_bytes()))
    for name, words in (
        ("a.csv", "an SQLite database"),
        ("u.lmdb.gz", "an LMDB file compressed by gzip: unpack"),
    ):
        with pytest.raises(MoleblendError, match=words):
            open_molecules(tmp_path / name)


def test_every_ending_has_a_format_and_every_format_an_ending() -> None:
    assert {ending for format in FORMATS for ending in format.endings} == {
        ".csv", ".tsv", ".smi", ".smiles", ".sdf", ".sd", ".mol", ".npz", ".lmdb", ".parquet",
    }  # fmt: skip
    assert all(format.endings for format in FORMATS)


def test_standard_input_is_read_as_often_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"smiles,y\nCCO,1\nbad(,2\n")
    source = open_molecules("-", Columns(targets=("y",)))
    for reader in (source, source.again(), open_molecules("-")):
        assert [(row.source, row.row, row.text) for row in reader] == [
            ("stdin", 0, "CCO"),
            ("stdin", 1, "bad("),
        ]
    pipe(monkeypatch, b"CCN\n")
    assert [row.text for row in open_molecules("-")] == ["CCN"]
    with pytest.raises(MoleblendError, match="^standard input has no named columns, as a list of SMILES"):
        open_molecules("-", Columns(targets=("y",)))


def test_nothing_is_said_of_a_name_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, gzip.compress(b"CCO\n"))
    source = open_molecules("-")
    assert [row.text for row in source] == ["CCO"]
    assert source.notes == []
    pipe(monkeypatch, b"")
    with pytest.raises(MoleblendError, match="^standard input is empty or no text: give SMILES, a table"):
        open_molecules("-")


def test_a_terminal_is_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(Piped):
        def isatty(self) -> Any:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(b""))
    with pytest.raises(MoleblendError, match="nothing is piped into it: name a file, or pipe one in"):
        open_molecules("-")


def test_a_store_keeps_its_molecules_under_new_row_ids(tmp_path: Path) -> None:
    source = open_molecules(write_file(tmp_path, "store"), Columns(targets=("y",)))
    rows = list(source)
    assert [(row.source, row.row, row.targets) for row in rows][0] == ("molecules.lmdb", 0, (1.5,))
    assert rows[0].record.row_id == "old.csv:0"
    with pytest.raises(MoleblendError, match="has no label 'z'"):
        list(open_molecules(source.path, Columns(targets=("z",))))
    with pytest.raises(MoleblendError, match="leave out --smiles-column 'smiles'"):
        open_molecules(source.path, Columns("smiles"))
