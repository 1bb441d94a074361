"""Codes: OGB's own numbers for many molecules, back to the same words, heavy atoms only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, RDConfig

from moleblend_plugin.chem.codes import encode_atom, encode_bond, encode_molecule, heavy_atoms
from moleblend_plugin.chem.elements import SYMBOLS
from moleblend_plugin.vocab import ATOM_FEATURES, BOND_FEATURES, CHIRALITY

NCI = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"

ODD = [
    "C",
    "[Na+].[Cl-]",
    "F/C=C/F",
    "F/C=C\\F",
    "N[C@@H](C)C(=O)O",
    "N[C@H](C)C(=O)O",
    "[CH3]",
    "[O][O]",
    "C[N+](C)(C)C",
    "OS(=O)(=O)O",
    "FP(F)(F)(F)F",
    "FS(F)(F)(F)(F)F",
    "[Fe+2]",
    "[U]",
    "*CC*",
    "C[Pt](<-N)(<-N)Cl",
    "c1ccccc1C#N",
    "[13CH4]",
    "O=C1C=CC=C1",
    "B(O)(O)c1cc[nH]c1",
    "C" * 250,
    "[Fe+6]",
    "[S-2]",
    "C1CC2(C1)CC2=C=C",
]


def nci_smiles(every: int) -> list[str]:
    lines = NCI.read_text().splitlines()[::every]
    return [line.split()[0] for line in lines]


def parsed(smiles: list[str]) -> list[Chem.Mol]:
    found = [Chem.MolFromSmiles(text) for text in smiles]
    return [mol for mol in found if mol is not None]


@pytest.mark.parametrize("smiles", [ODD, nci_smiles(every=10)], ids=["odd", "NCI"])
def test_codes_are_those_of_ogb(smiles: list[str]) -> None:
    ogb = pytest.importorskip("ogb.utils.mol", reason="the ogb package is not installed")
    for text in smiles:
        mol = Chem.MolFromSmiles(text)
        if mol is None:
            continue
        graph, codes = ogb.smiles2graph(text), encode_molecule(mol)
        atoms = codes.atom_codes.copy()
        atoms[:, CHIRALITY] = codes.ogb_chirality
        np.testing.assert_array_equal(atoms, graph["node_feat"], err_msg=text)
        # ogb lists each bond twice, i -> j and j -> i
        np.testing.assert_array_equal(codes.bonds, graph["edge_index"].T[::2], err_msg=text)
        np.testing.assert_array_equal(codes.bond_codes, graph["edge_feat"][::2], err_msg=text)
        assert (codes.atom_codes.dtype, codes.bonds.dtype) == (np.uint8, np.uint16)


def test_every_atom_code_decodes_to_what_rdkit_says() -> None:
    for mol in parsed(ODD + nci_smiles(every=50)):
        for atom in mol.GetAtoms():
            values = (
                atom.GetAtomicNum(),
                str(atom.GetChiralTag()),
                atom.GetTotalDegree(),
                atom.GetFormalCharge(),
                atom.GetTotalNumHs(),
                atom.GetNumRadicalElectrons(),
                str(atom.GetHybridization()),
                atom.GetIsAromatic(),
                atom.IsInRing(),
            )
            for feature, code, value in zip(ATOM_FEATURES, encode_atom(atom), values, strict=True):
                assert feature.decode(code) == (value if value in feature.values else "misc")


def test_every_bond_code_decodes_to_what_rdkit_says() -> None:
    for mol in parsed(ODD + nci_smiles(every=50)):
        for bond in mol.GetBonds():
            values = (str(bond.GetBondType()), str(bond.GetStereo()), bond.GetIsConjugated())
            for feature, code, value in zip(BOND_FEATURES, encode_bond(bond), values, strict=True):
                assert feature.decode(code) == (value if value in feature.values else "misc")


def test_every_stereo_of_rdkit_has_a_code_and_axial_ones_count_as_none() -> None:
    mol = Chem.MolFromSmiles("CC=CC")
    bond = mol.GetBondWithIdx(1)
    bond.SetStereoAtoms(0, 3)
    for name in ("STEREOCIS", "STEREOTRANS", "STEREOANY"):
        bond.SetStereo(getattr(Chem.BondStereo, name))
        assert BOND_FEATURES[1].decode(encode_bond(bond)[1]) == name
    axial = Chem.MolFromSmiles("Cc1cccc(O)c1-c1c(C)cccc1O")
    single = axial.GetBondBetweenAtoms(7, 8)
    single.SetStereoAtoms(1, 9)
    single.SetStereo(Chem.BondStereo.STEREOATROPCW)
    assert encode_bond(single)[1] == BOND_FEATURES[1].encode("STEREONONE")


def test_one_atom_and_no_bonds_keep_their_shapes() -> None:
    codes = encode_molecule(Chem.MolFromSmiles("C"))
    assert codes.atom_codes.shape == (1, 9)
    assert (codes.bonds.shape, codes.bond_codes.shape) == ((0, 2), (0, 3))
    nothing = encode_molecule(Chem.Mol())
    assert (nothing.atom_codes.shape, nothing.bonds.shape) == ((0, 9), (0, 2))


def test_methane_by_hand() -> None:
    # carbon is code 5; degree 4 with implicit hydrogens; charge 0 is code 5; 4 hydrogens; SP3 is code 2
    assert encode_atom(Chem.MolFromSmiles("C").GetAtomWithIdx(0)) == (5, 0, 4, 5, 4, 0, 2, 0, 0)


@pytest.mark.parametrize(
    ("smiles", "elements", "hydrogens"),
    [
        ("[H]O[H]", [8], [2]),
        ("[2H]C([2H])O", [6, 8], [3, 1]),
        ("[H][H]", [], []),
        ("[2H][3H]", [], []),
        ("[H-].[Na+]", [11], [0]),
        ("[H+].[Cl-]", [17], [0]),
        ("CC", [6, 6], [3, 3]),
    ],
)
def test_only_heavy_atoms_stay_and_count_their_hydrogens(
    smiles: str, elements: list[int], hydrogens: list[int]
) -> None:
    codes = encode_molecule(heavy_atoms(Chem.MolFromSmiles(smiles))).atom_codes
    assert codes[:, 0].tolist() == [number - 1 for number in elements]
    assert codes[:, 4].tolist() == hydrogens


def test_explicit_hydrogens_leave_with_their_coordinates_and_change_no_code() -> None:
    for smiles in ("N[C@@H](C)C(=O)O", "F/C=C/Cl", "c1cc[nH]c1", "C[NH3+]"):
        mol = Chem.MolFromSmiles(smiles)
        full = Chem.AddHs(mol)
        conformer = Chem.Conformer(full.GetNumAtoms())
        for atom in range(full.GetNumAtoms()):
            conformer.SetAtomPosition(atom, (float(atom), 0.5, -1.0))
        full.AddConformer(conformer)
        bare = heavy_atoms(full)
        for left, right in zip(encode_molecule(bare), encode_molecule(mol), strict=True):
            np.testing.assert_array_equal(left, right)
        places = bare.GetConformer().GetPositions()
        np.testing.assert_array_equal(places[:, 0], np.arange(mol.GetNumAtoms()))


def test_symbols_are_those_of_the_periodic_table() -> None:
    table = Chem.GetPeriodicTable()
    assert list(SYMBOLS[1:]) == [table.GetElementSymbol(number) for number in range(1, 119)]
