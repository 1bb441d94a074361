"""What RDKit is told elsewhere, and atom maps, change nothing of what is read."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDepictor

from moleblend_plugin.chem.codes import encode_molecule, heavy_atoms
from moleblend_plugin.chem.convert import ConversionConfig, convert, convert_molecule
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.reading import clear_maps, from_block, from_mol, from_smiles, pinned, to_smiles
from moleblend_plugin.schema import MoleculeRecord

STEREO = [
    "N[C@@H](C)C(=O)O",
    "C/C=C/C",
    "C/C=C\\C",
    "C/C(F)=C(/Cl)C",
    "C[C@H]1CC[C@@H](C)CC1",
    "C[C@H]1C[C@@H](C)C1",
    "C[S@](=O)c1ccccc1",
    "C=C[C@H]1CN2CC[C@H]1C[C@H]2[C@H](O)c1ccnc2ccc(OC)cc12",
    "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    "C/C=C/[C@@H](O)/C=C\\C",
    "O[C@H](C)[C@@H](O)[C@@H](C)O",
]
SWITCHES = ["UseLegacyStereoPerception", "AllowNontetrahedralChirality", "UseLegacyRingFinding"]


def seen(mol: Chem.Mol) -> tuple:
    """Everything that is read of a molecule, in its own order."""
    codes = encode_molecule(heavy_atoms(mol))
    return to_smiles(mol), codes.atom_codes.tolist(), codes.bond_codes.tolist()


def with_maps(smiles: str, start: int) -> str:
    """The same atoms in the same order, all mapped."""
    mol = Chem.MolFromSmiles(smiles)
    numbers = list(range(1, mol.GetNumAtoms() + 1))
    random.Random(start).shuffle(numbers)
    for atom, number in zip(mol.GetAtoms(), numbers, strict=True):
        atom.SetAtomMapNum(number)
    return Chem.MolToSmiles(mol, canonical=False)


@pytest.fixture(params=[(name, value) for name in SWITCHES for value in (True, False)], ids=str)
def switched(request: pytest.FixtureRequest) -> Iterator[None]:
    """RDKit with one of its switches set by the user; it must still stand so afterwards."""
    name, value = request.param
    if not hasattr(Chem, f"Set{name}"):
        pytest.skip(f"this RDKit has no {name}")
    before = getattr(Chem, f"Get{name}")()
    getattr(Chem, f"Set{name}")(value)
    yield
    now = getattr(Chem, f"Get{name}")()
    getattr(Chem, f"Set{name}")(before)
    assert now == value


@pytest.mark.parametrize("smiles", STEREO)
def test_atom_maps_change_nothing(smiles: str) -> None:
    plain = from_smiles(smiles)
    for start in range(3):
        mapped = with_maps(smiles, start)
        assert seen(from_smiles(mapped))[0] == to_smiles(plain)
        user = Chem.MolFromSmiles(mapped)
        assert seen(from_mol(user))[0] == to_smiles(plain)
        assert any(atom.GetAtomMapNum() for atom in user.GetAtoms())  # the user's own stays
        rdDepictor.Compute2DCoords(user)
        assert to_smiles(from_block(Chem.MolToMolBlock(user))) == to_smiles(plain)


def test_maps_make_no_stereocentre() -> None:
    for text in ("[CH3:1][C@H:9]([CH3:2])O", "CC(C)O |atomProp:0.molAtomMapNumber.5|"):
        assert to_smiles(from_smiles(text)) == "CC(C)O"
        assert to_smiles(from_mol(Chem.MolFromSmiles(text))) == "CC(C)O"


def test_rest_points_and_names_survive() -> None:
    assert to_smiles(from_smiles("[*:1]CC[*:2] a name:3]")) == "*CC*"
    assert to_smiles(from_smiles("  [13CH3:7][OH:1]\tx")) == "[13CH3]O"
    assert from_smiles("C(") is None
    assert from_block("nothing") is None


@pytest.mark.parametrize("smiles", STEREO)
def test_switches_change_nothing(switched: None, smiles: str) -> None:
    with pinned():
        wanted = seen(Chem.MolFromSmiles(smiles))
        block = Chem.MolToMolBlock(Chem.MolFromSmiles(smiles))
        block_wanted = seen(Chem.MolFromMolBlock(block, removeHs=False))
    assert seen(from_smiles(smiles)) == wanted
    assert seen(from_mol(Chem.MolFromSmiles(smiles))) == wanted
    assert seen(from_block(block)) == block_wanted


def fails_inside() -> None:
    with pinned():
        assert Chem.GetUseLegacyStereoPerception()
        raise RuntimeError("anything")


def test_the_switches_come_back_after_an_error() -> None:
    before = Chem.GetUseLegacyStereoPerception()
    Chem.SetUseLegacyStereoPerception(False)
    try:
        with pytest.raises(RuntimeError, match="anything"):
            fails_inside()
        assert not Chem.GetUseLegacyStereoPerception()
    finally:
        Chem.SetUseLegacyStereoPerception(before)


def test_aromaticity_of_a_users_molecule_is_perceived_anew() -> None:
    mol = Chem.MolFromSmiles("c1ccccc1C(=O)O")
    Chem.Kekulize(mol, clearAromaticFlags=True)
    assert seen(from_mol(mol)) == seen(from_smiles("c1ccccc1C(=O)O"))


def test_clear_maps_is_in_place() -> None:
    mol = Chem.MolFromSmiles("[CH3:1][OH:2]", sanitize=False)
    clear_maps(mol)
    assert [atom.GetAtomMapNum() for atom in mol.GetAtoms()] == [0, 0]


def record_of(molecule: object) -> MoleculeRecord:
    record = convert_molecule(molecule, 0, ConversionConfig())
    assert isinstance(record, MoleculeRecord), record
    return record


def same(left: MoleculeRecord, right: MoleculeRecord) -> bool:
    return left.smiles == right.smiles and all(
        np.array_equal(getattr(left, name), getattr(right, name))
        for name in ("atom_codes", "bonds", "bond_codes", "ogb_chirality")
    )


@pytest.mark.parametrize("smiles", STEREO)
def test_records_of_mapped_molecules_are_those_of_the_plain_ones(smiles: str) -> None:
    plain = record_of(smiles)
    numbered = Chem.MolFromSmiles(smiles)
    for atom in numbered.GetAtoms():
        atom.SetAtomMapNum(7 * atom.GetIdx() % 5)
    assert same(record_of(numbered), plain)
    assert any(atom.GetAtomMapNum() for atom in numbered.GetAtoms())
    text = record_of(with_maps(smiles, 1))
    assert text.smiles == plain.smiles
    assert ":" not in text.smiles
    block = convert(RawRow("a.sdf", 0, Chem.MolToMolBlock(numbered), "molblock"), ConversionConfig())
    assert ":" not in block.smiles


@pytest.mark.parametrize("smiles", STEREO)
def test_records_do_not_hang_on_the_switches(switched: None, smiles: str) -> None:
    users = Chem.MolFromSmiles(smiles)  # as the user's switches perceive it
    with pinned():
        wanted = record_of(smiles)
    assert same(record_of(smiles), wanted)
    assert same(record_of(users), wanted)


@pytest.mark.parametrize(
    "smiles", ["C1CCCC/C=C/C1", "C1CCCCC/C=C\\CC1", "F/C1=C/CCCCCC1", "C1C/C=C\\CC/C=C/CC/C=C/1", "C/C=C/C"]
)
@pytest.mark.parametrize("way", ["SMILES", "molecule", "unsanitised molecule"])
def test_explicit_hydrogens_leave_the_sides_of_double_bonds(smiles: str, way: str) -> None:
    # RDKit alone reads E for Z in some of these writings: [H]/C1=C(/[H])CCCCCC1 is trans.
    plain = convert(RawRow("x", 0, smiles, "smiles"), ConversionConfig())
    full = Chem.AddHs(Chem.MolFromSmiles(smiles))
    for start in range(40):
        order = list(range(full.GetNumAtoms()))
        random.Random(start).shuffle(order)
        shuffled = Chem.RenumberAtoms(full, order)
        text = Chem.MolToSmiles(shuffled, canonical=False)
        if way == "SMILES":
            found = convert(RawRow("x", 0, text, "smiles"), ConversionConfig())
        elif way == "molecule":
            found = convert_molecule(shuffled, 0, ConversionConfig())
        else:
            found = convert_molecule(Chem.MolFromSmiles(text, sanitize=False), 0, ConversionConfig())
        assert isinstance(found, MoleculeRecord)
        assert found.smiles == plain.smiles, text
        assert sorted(found.bond_codes.tolist()) == sorted(plain.bond_codes.tolist()), text


def test_a_dative_bond_is_no_reaction() -> None:
    found = convert(RawRow("x", 0, "N->[Pt](<-N)(Cl)Cl", "smiles"), ConversionConfig())
    assert isinstance(found, MoleculeRecord)
    assert found.smiles == "[NH3]->[Pt](<-[NH3])([Cl])[Cl]"
    for text in ("CCO>>CC=O", "N->[Pt]>>[Pt]"):
        assert "a reaction" in convert(RawRow("x", 0, text, "smiles"), ConversionConfig()).reason
