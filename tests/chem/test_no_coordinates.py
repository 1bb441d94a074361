"""Mol blocks whose atoms all lie in one place: centres from parities, the rest is said to be unknown."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.cli.main import main
from moleblend_plugin.schema import MoleculeRecord

CENTRES = [
    "N[C@@H](C)C(=O)O",
    "N[C@H](C)C(=O)O",
    "C[C@@](F)(Cl)Br",
    "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    "C[C@H]1CC[C@@H](C)CC1",
    "C[S@](=O)c1ccccc1",
    "C[P@](CC)c1ccccc1",
]


def parity(atom: Chem.Atom, places: np.ndarray) -> int:
    """1 or 2 by the definition of CTfile formats: seen with the last neighbour behind, clockwise is 1.

    Neighbours in the order of their numbers, an implicit hydrogen (or lone pair) last.
    """
    centre = places[atom.GetIdx()]
    around = [places[index] for index in sorted(other.GetIdx() for other in atom.GetNeighbors())]
    if len(around) == 3:
        around.append(4 * centre - sum(around, np.zeros(3)))
    first, second, third, last = around
    normal = np.cross(second - first, third - first)  # towards whom the three turn counter-clockwise
    return 2 if normal @ (centre - last) > 0 else 1


def without_places(mol: Chem.Mol, version: str, flag: str) -> str:
    """A block of ``mol`` (with 3D) whose coordinates are all 0 and whose centres have parities."""
    places = mol.GetConformer().GetPositions()
    tags = [atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED for atom in mol.GetAtoms()]
    parities = [parity(atom, places) if tag else 0 for atom, tag in zip(mol.GetAtoms(), tags, strict=True)]
    flat = Chem.Mol(mol)
    Chem.RemoveStereochemistry(flat)
    flat.RemoveAllConformers()
    flat.AddConformer(Chem.Conformer(flat.GetNumAtoms()))
    write = Chem.MolToV3KMolBlock if version == "V3000" else Chem.MolToMolBlock
    lines = write(flat).split("\n")
    lines[1] = lines[1][:20] + flag
    first = lines.index("M  V30 BEGIN ATOM") + 1 if version == "V3000" else 4
    for number, code in enumerate(parities, first):
        if code and version == "V3000":
            lines[number] += f" CFG={code}"
        elif code:
            lines[number] = f"{lines[number][:39]}{code:3d}{lines[number][42:]}"
    return "\n".join(lines)


def geometry(smiles: str, seed: int, hydrogens: bool) -> Chem.Mol:
    """``smiles`` with 3D and its atoms in a random order."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=seed + 1) == 0
    mol = mol if hydrogens else Chem.RemoveHs(mol)
    order = list(range(mol.GetNumAtoms()))
    random.Random(seed).shuffle(order)
    return Chem.RenumberAtoms(mol, order)


def record_of(block: str) -> MoleculeRecord:
    record = convert(RawRow("a.sdf", 0, block, "molblock"), ConversionConfig())
    assert isinstance(record, MoleculeRecord), record
    return record


@pytest.mark.parametrize("flag", ["2D", "3D", ""])
@pytest.mark.parametrize("version", ["V2000", "V3000"])
@pytest.mark.parametrize("smiles", CENTRES)
def test_centres_come_from_parities(smiles: str, version: str, flag: str) -> None:
    for seed, hydrogens in ((0, False), (1, True)):
        record = record_of(without_places(geometry(smiles, seed, hydrogens), version, flag))
        assert record.smiles == Chem.CanonSmiles(smiles)
        assert (record.coords, record.coords_from) == (None, "no coordinates in the source, none wanted")


def test_what_is_left_open_is_said() -> None:
    for smiles, unknown in (("C/C=C/C", True), ("CC(O)F", True), ("N[C@@H](C)C(=O)O", False), ("CCO", False)):
        block = without_places(geometry(smiles, 0, hydrogens=False), "V2000", "2D")
        assert record_of(block).stereo_unknown == unknown
        assert "/" not in record_of(block).smiles


def test_blocks_with_coordinates_and_smiles_leave_nothing_unknown() -> None:
    assert not record_of(Chem.MolToMolBlock(geometry("C/C=C/C", 0, hydrogens=True))).stereo_unknown
    record = convert(RawRow("a.smi", 0, "CC(O)F", "smiles"), ConversionConfig())
    assert isinstance(record, MoleculeRecord)
    assert not record.stereo_unknown


def test_a_geometry_file_without_coordinates_loses_no_stereochemistry() -> None:
    block = without_places(geometry("N[C@@H](C)C(=O)O", 0, hydrogens=True), "V2000", "3D").replace(
        "  1  0  0", ""
    )
    record = convert(RawRow("a.csv", 0, block, "molblock", expected="N[C@@H](C)C(=O)O"), ConversionConfig())
    assert isinstance(record, MoleculeRecord)
    assert (record.smiles, record.coords) == ("C[C@H](N)C(=O)O", None)


def test_the_build_names_the_molecules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [
        without_places(geometry(smiles, 0, hydrogens=False), "V2000", "2D")
        for smiles in ("C/C=C/C", "CCO", "N[C@@H](C)C(=O)O", "CC(O)F")
    ]
    (tmp_path / "m.sdf").write_text("".join(f"{block}$$$$\n" for block in blocks))
    words = ["build", str(tmp_path / "m.sdf"), "--out", str(tmp_path / "out"), "--conformers", "none"]
    with pytest.raises(SystemExit) as done:
        main([*words, "--workers", "1", "--split", "none"])
    assert not done.value.code
    report = json.loads((tmp_path / "out" / "build_report.json").read_text())
    assert (report["stereo_unknown"], report["stereo_unknown_rows"]) == (2, ["m.sdf:0", "m.sdf:3"])
    assert "warning: 2 molecules have no coordinates" in capsys.readouterr().err
