"""Fingerprints and descriptors against RDKit's other ways to them, and molecules that cannot be done."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem, Crippen, Descriptors, rdMolDescriptors

from moleblend_plugin.chem.identity.featurizers import PROBE_SMILES
from moleblend_plugin.chem.identity.fingerprints import descriptors, ecfp4, ecfp4_counts
from moleblend_plugin.chem.reading import from_smiles

SMILES = ["CCO", "c1ccccc1O", "CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O"]


def test_ecfp4_is_the_morgan_fingerprint_of_radius_2() -> None:
    found = ecfp4(SMILES)
    assert found.values.shape == (4, 2048)
    assert found.values.dtype == np.uint8
    for smiles, row in zip(SMILES, found.values, strict=True):
        bits = AllChem.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(smiles), 2, nBits=2048)
        assert np.flatnonzero(row).tolist() == list(bits.GetOnBits())
    assert found.reasons == {}


def test_stereoisomers_share_their_bits() -> None:
    left, right = ecfp4(["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"]).values
    assert (left == right).all()


def test_counts_say_how_often_each_environment_occurs() -> None:
    found = ecfp4_counts(SMILES)
    assert (found.values.shape, found.values.dtype) == ((4, 2048), np.uint16)
    for smiles, row in zip(SMILES, found.values, strict=True):
        counts = AllChem.GetHashedMorganFingerprint(Chem.MolFromSmiles(smiles), 2, nBits=2048)
        assert {int(bit): int(row[bit]) for bit in np.flatnonzero(row)} == counts.GetNonzeroElements()
    assert found.values.max() > 1
    assert ((found.values > 0) == ecfp4(SMILES).values).all()


def test_descriptors_have_names_and_values() -> None:
    found = descriptors(SMILES)
    columns = dict(zip(found.names, found.values.T, strict=True))
    mols = [Chem.MolFromSmiles(smiles) for smiles in SMILES]
    assert columns["MolLogP"].tolist() == [Crippen.MolLogP(mol) for mol in mols]
    assert columns["TPSA"].tolist() == [rdMolDescriptors.CalcTPSA(mol) for mol in mols]


@pytest.mark.parametrize(
    "smiles",
    [
        *PROBE_SMILES,
        "[2H]C([2H])O",
        "[H][H]",
        "[Na+].[Cl-]",
        "*CC",
        "[CH3:7]CO",
        "N[Pt](N)(Cl)Cl",
        "[13CH4]",
        "C",
    ],
)
def test_all_descriptors_are_rdkit_s_own_to_the_bit(smiles: str) -> None:
    """Also those that are taken from what networks see of the molecule."""
    mol = from_smiles(smiles)
    wanted = Descriptors.CalcMolDescriptors(mol, missingVal=np.nan, silent=True)
    found = descriptors([smiles])
    np.testing.assert_array_equal(found.values[0], [wanted[name] for name in found.names])


def test_what_trees_cannot_hold_is_missing() -> None:
    """Ipc of a long chain is beyond float32, and RDKit has no number for it then."""
    found = descriptors(["C" * 300, "CCO"])
    columns = dict(zip(found.names, found.values.T, strict=True))
    assert np.isnan(columns["Ipc"]).tolist() == [True, False]
    assert not np.isinf(found.values.astype(np.float32)).any()


def test_a_molecule_that_cannot_be_done_has_a_reason_and_no_bits() -> None:
    bits, numbers = ecfp4(["CCO", "not a molecule", ""]), descriptors(["CCO", "not a molecule", ""])
    assert bits.reasons == numbers.reasons == {1: "RDKit cannot read 'not a molecule'", 2: "no atoms"}
    assert bits.values[1:].sum() == 0
    assert np.isnan(numbers.values[1:]).all()
    assert bits.values[0].sum() > 0
