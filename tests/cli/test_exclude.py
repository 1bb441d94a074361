"""`moleblend build --exclude`: levels, and lists of every format."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lmdb
import pytest
from rdkit import Chem

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore, StoreWriter
from tests.chem.test_source_unimol import entry

ROWS = [
    "[CH3:1][CH2:2][OH:3]",  # 0 ethanol
    "C[C@H](N)C(=O)O",  # 1 alanine
    "CCCCCC(=O)[O-].[Na+]",  # 2 a salt
    "[2H]OC",  # 3 methanol
    "CCC",  # 4
]
HELD = ["OCC", "N[C@H](C)C(O)=O", "CCCCCC(=O)O", "CO"]
LEFT = {"exact": [1, 2, 3, 4], "connectivity": [2, 4], "parent": [4]}


def run(*arguments: Path | int | str) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


def build(source: Path, out: Path, *options: Path | str) -> int:
    return run("build", source, "--out", out, "--workers", 1, "--conformers", "none", *options)


def rows(out: Path) -> list[int]:
    return [record.row for record in MoleculeStore(out / "train.lmdb")]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["text,y", *(f"{smiles},1" for smiles in ROWS)]))
    return path


def as_smi(folder: Path) -> Path:
    (folder / "held.smi").write_text("\n".join(HELD))
    return folder / "held.smi"


def as_packed_table(folder: Any) -> Any:
    with gzip.open(folder / "held.csv.gz", "wt") as file:
        file.write("\n".join(["name,text", *(f"x,{smiles}" for smiles in HELD)]))
    return folder / "held.csv.gz"


def as_sdf(folder: Any) -> Any:
    writer = Chem.SDWriter(str(folder / "held.sdf"))
    for smiles in HELD:
        writer.write(Chem.MolFromSmiles(smiles))
    writer.close()
    return folder / "held.sdf"


def as_unimol(folder: Any) -> Any:
    path = folder / "held.lmdb"
    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 24) as env,
        env.begin(write=True) as txn,
    ):
        for number, smiles in enumerate(HELD):
            txn.put(str(number).encode(), pickle.dumps(entry(smiles) | {"target": [1.0]}))
    return path


def as_folder(folder: Path) -> Path:
    for part, held in (("train", HELD[:2]), ("valid", HELD[2:3]), ("test", HELD[3:])):
        (folder / f"{part}.smi").write_text("\n".join(held))
    assert build(folder, folder / "built") == 0
    return folder / "built"


def as_folder_of_tables(folder: Any) -> Any:
    as_folder(folder)
    return folder


@pytest.mark.parametrize("make", [as_smi, as_packed_table, as_sdf, as_unimol, as_folder, as_folder_of_tables])
def test_a_list_of_any_format(table: Path, tmp_path: Path, make: Callable[..., Any]) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    out = tmp_path / "out"
    assert build(table, out, "--smiles-column", "text", "--exclude", make(folder)) == 0
    assert rows(out) == LEFT["connectivity"]


@pytest.mark.parametrize("level", list(LEFT))
def test_levels_and_what_is_written_down(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    held = as_smi(tmp_path)
    options = ("--smiles-column", "text", "--exclude", held, "--exclude-level", level)
    assert build(table, tmp_path / "out", *options) == 0
    assert rows(tmp_path / "out") == LEFT[level]
    out = capsys.readouterr().out
    assert f"exclude: 4 molecules of {held} (level {level})" in out
    assert f"{5 - len(LEFT[level])}  molecules of --exclude ({level})" in out
    report = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert report["exclude"] == {
        "level": level, "files": [{"file": "held.smi", "molecules": 4, "unreadable": 0}],
    }  # fmt: skip
    assert report["excluded_by_list"] == 5 - len(LEFT[level])
    assert report["settings"]["exclude_level"] == level
    left_out = json.loads((tmp_path / "out" / "split.json").read_text())["excluded"]["row_ids"]
    assert left_out == [f"a.csv:{row}" for row in range(5) if row not in LEFT[level]]


def test_levels_are_other_builds(table: Path, tmp_path: Path) -> None:
    """Alike even where the lists' texts are: an interrupted build of another level is not gone on with."""
    prints = set()
    held = tmp_path / "held.smi"
    held.write_text("CCC\n")
    for level in LEFT:
        options = ("--smiles-column", "text", "--exclude", held, "--exclude-level", level)
        assert build(table, tmp_path / level, *options) == 0
        prints.add(json.loads((tmp_path / level / "build_report.json").read_text())["fingerprint"])
    assert len(prints) == 3


@pytest.mark.parametrize("mapped", [False, True])
def test_stores_of_other_versions_and_with_maps(table: Path, tmp_path: Path, mapped: bool) -> None:
    """A store's text is as another RDKit wrote it: molecules are compared, not texts."""
    assert build(as_smi(tmp_path), tmp_path / "now") == 0
    old = tmp_path / "old.lmdb"
    texts = {"CCO": "C(O)C", "CO": "O(C)"}
    if mapped:
        texts = {"CCO": "[OH:4][CH2:1][CH3:3]", "CO": "[CH3:1][OH:2]"}
    with StoreWriter(old, settings={}, sources={}, target_names=(), split="train") as writer:
        for record in MoleculeStore(tmp_path / "now" / "train.lmdb"):
            writer.add(replace(record, smiles=texts.get(record.smiles, record.smiles)))
    assert build(table, tmp_path / "out", "--smiles-column", "text", "--exclude", old) == 0
    assert rows(tmp_path / "out") == LEFT["connectivity"]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (
            "CCO\n",
            ("--exclude-level", "inchi"),
            "--exclude-level 'inchi' is unknown; use exact, connectivity, parent",
        ),
        ("bad(\nworse(\n", (), "holds no molecule (2 rows that are none); check the file"),
    ],
)
def test_what_cannot_be_left_out_is_one_line(
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: tuple[str, ...],
    words: str,
) -> None:
    (tmp_path / "held.smi").write_text(text)
    options = ("--smiles-column", "text", "--exclude", tmp_path / "held.smi", *options)
    assert build(table, tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
