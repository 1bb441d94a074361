"""Codes by kinds of atoms, found in RDKit's binary form, are those of the atoms asked one by one."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem

from moleblend_plugin.chem import codes
from moleblend_plugin.chem.binary_form import binary_form
from moleblend_plugin.chem.codes import encode_molecule
from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.schema import MoleculeRecord, Rejection

ORDINARY = (
    *("C", "O", "[OH-]", "O=C=O", "C#N", "C1CC1", "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"),
    *("C/C=C/C", "C/C=C\\C", "F/C(Cl)=C(/F)Br", "C/C=C/C=C\\C", "CC=CC |w:1.0|", "C1CCCCCCC/C=C/1"),
    *("N[C@@H](C)C(=O)O", "C[C@](F)(Cl)Br", "C[C@H]1CC[C@@H](C)CC1", "C[S@](=O)CC", "F[P@SP1](Cl)(Br)I"),
    *("[Na+].[Cl-]", "[NH4+].[O-]S(=O)(=O)[O-]", "[Cu+2]", "C->[Fe]", "[Fe-4](C#N)(C#N)", "[H][H].CC"),
    *(
        "C[CH2]",
        "[CH2]",
        "[O][O]",
        "C[N+](=O)[O-]",
        "FS(F)(F)(F)(F)F",
        "C~C",
        "C=[N+]=[N-]",
        "[B-](F)(F)(F)F",
    ),
    *("c1ccc2[nH]ccc2c1", "c1cc[se]c1", "C[n+]1ccccc1", "O=c1cc[nH]cc1", "C1=CC=CC=CC=C1", "c1ccc2cccc-2cc1"),
    *(
        "C12C3C4C1C5C2C3C45",
        "C1CC2CCC1CC2",
        "C1CC11CC1",
        "C" * 255,
        "[U]",
        "[Xe]",
        "O=[Os](=O)(=O)=O",
        "[SiH4]",
    ),
)
BEYOND = ("[13CH4]", "*C", "[1*]CC", "C~C", "C" * 256, "[2H]C", "[C@H](C)(O)[2H]")
"""What RDKit writes otherwise: isotopes, places of fragments, bonds of any kind, atoms beyond 255."""


@pytest.mark.parametrize("smiles", ORDINARY + BEYOND)
def test_codes_by_kind_are_those_of_the_atoms(smiles: str) -> None:
    mol = codes.heavy_atoms(Chem.MolFromSmiles(smiles))
    quick, slow = codes._by_kind(mol), codes._one_by_one(mol)
    assert (quick is None) == (smiles in BEYOND[:5])
    for found, wanted in zip(quick or slow, slow, strict=True):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        assert found.flags.writeable
        np.testing.assert_array_equal(found, wanted)


def test_atoms_and_bonds_of_ethanol_by_hand() -> None:
    form = binary_form(Chem.MolFromSmiles("CCO"))
    assert form is not None
    assert [atom[0] for atom in form.atoms] == [6, 6, 8]
    assert (form.degrees, form.in_ring, form.ends) == ([1, 2, 1], [0, 0, 0], bytes([0, 1, 1, 2]))
    assert form.bonds[0] == form.bonds[1]
    ring = binary_form(Chem.MolFromSmiles("CC1CC1"))
    assert ring is not None
    assert ring.in_ring == [0, 1, 1, 1]


def test_molecules_with_coordinates_hydrogens_and_wedges_are_cut_too() -> None:
    mol = Chem.MolFromSmiles("C[C@H](O)/C=C/c1ccccc1")
    Chem.rdDepictor.Compute2DCoords(mol)
    Chem.WedgeMolBonds(mol, mol.GetConformer())
    for each in (mol, Chem.AddHs(mol), Chem.MolFromMolBlock(Chem.MolToMolBlock(mol))):
        quick = codes._by_kind(each)
        assert quick is not None
        for found, wanted in zip(quick, codes._one_by_one(each), strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_another_layout_is_not_relied_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of RDKit that writes what is not known, or the same bytes for atoms that differ."""
    mol = Chem.MolFromSmiles("c1ccncc1")
    wanted = encode_molecule(mol)
    assert codes._knows_binary_form()
    form = binary_form(mol)
    assert form is not None
    alike = form._replace(atoms=[form.atoms[0]] * 6)
    for other in (None, alike):
        monkeypatch.setattr(codes, "binary_form", lambda mol, other=other: other)
        codes._knows_binary_form.cache_clear()
        assert not codes._knows_binary_form()
        for found, known in zip(encode_molecule(mol), wanted, strict=True):
            np.testing.assert_array_equal(found, known)
    monkeypatch.undo()
    codes._knows_binary_form.cache_clear()
    assert codes._knows_binary_form()


@pytest.mark.parametrize("cut", [22, 29, 40, 60, 90])
def test_a_form_that_ends_early_is_none(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Short:
        def ToBinary(self, _: int) -> bytes:
            return Chem.MolFromSmiles("c1ccccc1").ToBinary(0)[:cut]

    assert binary_form(Short()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("smiles", [*ORDINARY, *BEYOND])
def test_without_its_canonical_smiles_a_record_is_the_same(smiles: str) -> None:
    row, config = RawRow("a.csv", 3, smiles, "smiles"), ConversionConfig(None, source_coords=False)
    whole, bare = convert(row, config), convert(row, config, canonical=False)
    if isinstance(whole, Rejection):
        assert bare == whole
        return
    assert isinstance(bare, MoleculeRecord)
    assert bare.smiles == smiles
    for name in MoleculeRecord.__slots__:
        if name != "smiles":
            np.testing.assert_array_equal(getattr(bare, name), getattr(whole, name), err_msg=name)
