"""`moleblend build --geometry` (an SDF beside a table) and `--exclude` (molecules that are left out)."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from moleblend_plugin.cli.main import main
from moleblend_plugin.data.store.reader import MoleculeStore


def build(path: Path, out: Path, *options: Path | int | str) -> int:
    words = ["build", path, "--out", out, "--workers", 1, "--conformers", "none", *options]
    try:
        main([str(word) for word in words])
    except SystemExit as done:
        return done.code or 0
    return 0


def rejected(out: Path) -> dict[str, str]:
    with (out / "rejected.csv").open(newline="") as file:
        return {row["row_id"]: row["reason"] for row in csv.DictReader(file)}


def report(out: Path) -> dict[str, Any]:
    return json.loads((out / "build_report.json").read_text())


def block(smiles: str, without: list[int] = ()) -> str:
    """A 3D mol block with all hydrogens but those of the atoms ``without``, one of each."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    editable = Chem.RWMol(mol)
    hydrogens = [
        max(n.GetIdx() for n in mol.GetAtomWithIdx(i).GetNeighbors() if n.GetAtomicNum() == 1)
        for i in without
    ]
    for index in sorted(hydrogens, reverse=True):
        editable.RemoveAtom(index)
    for atom in editable.GetAtoms():  # a program that writes no radicals
        atom.SetNumRadicalElectrons(0)
    return Chem.MolToMolBlock(editable)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A table of six rows and geometries of the first five."""
    table, sdf = tmp_path / "data.csv", tmp_path / "train.sdf"
    table.write_text("idx,smiles,gap\n0,CCO,1\n1,C[CH2],2\n2,CC,3\n3,CCN,4\n4,N[C@@H](C)C=O,5\n5,CCCl,\n")
    blocks = [block("OCC"), block("CC", [0]), block("CC", [0]), "nonsense\n", block("O=C[C@@H](N)C")]
    sdf.write_text("".join(f"{text}$$$$\n" for text in blocks))
    return table, sdf


def test_records_join_rows_in_order_when_they_are_the_same_molecule(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    table, sdf = pair
    out = tmp_path / "out"
    assert build(table, out, "--geometry", sdf, "--target-columns", "gap") == 0
    store = MoleculeStore(out / "train.lmdb")
    assert [record.row_id for record in store] == [f"data.csv:{row}" for row in (0, 1, 4, 5)]
    assert [record.coords_from for record in store][:3] == ["source"] * 3
    assert store[3].coords is None
    np.testing.assert_array_equal([record.targets[0] for record in store], [1, 2, 5, np.nan])
    # Atoms and places are the record's, whose first atom is the oxygen.
    places = Chem.MolFromMolBlock(block("OCC")).GetConformer().GetPositions()
    np.testing.assert_allclose(store[0].coords[0], places, atol=1e-6)
    assert store[0].atom_codes[0, 0] == 7  # oxygen
    # The open valence of the geometry is the radical of the SMILES: hydrogens and radical electrons.
    assert sorted(store[1].atom_codes[:, [4, 5]].tolist()) == [[2, 1], [3, 0]]
    assert store[1].smiles == "[CH2]C"
    # The geometry decides on stereochemistry.
    assert store[2].smiles == Chem.CanonSmiles("O=C[C@@H](N)C")
    assert rejected(out) == {
        "data.csv:2": "geometry of another molecule: [CH2]C instead of CC",
        "data.csv:3": "unreadable mol block",
    }
    assert store.meta.settings["geometry"] == "train.sdf"
    assert set(store.meta.sources) == {"data.csv", "train.sdf"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda sdf: sdf.write_text(sdf.read_text() * 2), "more records than data.csv has rows"),
        (lambda sdf: sdf.unlink(), "train.sdf does not exist"),
    ],
)
def test_geometries_that_cannot_belong_are_one_line(
    pair: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[..., Any],
    words: str,
) -> None:
    table, sdf = pair
    change(sdf)
    assert build(table, tmp_path / "out", "--geometry", sdf) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_geometry_file_is_an_sdf_beside_one_table(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, sdf = pair
    assert build(table, tmp_path / "out", "--geometry", table) == 2
    assert "must be an SDF" in capsys.readouterr().err
    assert build(table, tmp_path / "out", tmp_path / "more.csv", "--geometry", sdf) == 2


def test_a_limit_ends_before_the_geometries_do(pair: tuple[Path, Path], tmp_path: Path) -> None:
    table, sdf = pair
    assert build(table, tmp_path / "out", "--geometry", sdf, "--limit", 2) == 0
    assert report(tmp_path / "out")["molecules"] == 2


@pytest.fixture
def amino(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text("smiles\nC[C@H](N)C(=O)O\nCCO\nbad(\nc1ccccc1\n")
    return path


def test_listed_molecules_are_left_out_whatever_their_stereochemistry(
    amino: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "held.smi").write_text("OC(=O)[C@H](C)N other isomer, written otherwise\nbad(\n")
    out = tmp_path / "out"
    assert build(amino, out, "--exclude", tmp_path / "held.smi", "--strict") == 2  # row 2 is bad as ever
    assert build(amino, out, "--exclude", tmp_path / "held.smi") == 0
    shown = capsys.readouterr().out
    assert "exclude: 1 molecules of" in shown
    assert "held.smi; 1 rows are no molecules" in shown
    assert [record.smiles for record in MoleculeStore(out / "train.lmdb")] == ["CCO", "c1ccccc1"]
    facts = report(out)
    assert (facts["rows"], facts["molecules"], facts["rejected"]) == (4, 2, 1)
    assert (facts["excluded"], facts["excluded_by_list"]) == (1, 1)
    listed = json.loads((out / "split.json").read_text())["excluded"]
    assert (listed["rows"], listed["row_ids"]) == (1, ["a.csv:0"])
    assert build(amino, tmp_path / "all") == 0
    assert report(tmp_path / "all")["fingerprint"] != facts["fingerprint"]


def test_stores_list_molecules_too(amino: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(amino, tmp_path / "one", "--limit", 1) == 0
    assert build(amino, tmp_path / "two", "--exclude", tmp_path / "one" / "train.lmdb") == 0
    assert [r.row for r in MoleculeStore(tmp_path / "two" / "train.lmdb")] == [1, 3]
    both = [word for name in ("one", "two") for word in ("--exclude", tmp_path / name / "train.lmdb")]
    assert build(amino, tmp_path / "none", *both) == 2
    assert "(SMILES syntax: 1; excluded by --exclude: 3)" in capsys.readouterr().err
