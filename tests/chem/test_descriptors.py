"""Stable descriptors: names, what does not change them, and values of RDKit itself."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Descriptors

from moleblend_plugin.chem.identity.descriptors import DESCRIPTORS, stable_descriptors

MOLECULE = "C[C@@H](O)c1ccc(Cl)cc1C(=O)NCC"


def test_names_are_of_rdkit_and_unstable_ones_are_absent() -> None:
    assert len(set(DESCRIPTORS)) == len(DESCRIPTORS) == 202
    assert set(DESCRIPTORS) <= {name for name, _ in Descriptors.descList}
    unstable = {"NumHAcceptors", "fr_unbrch_alkane", "SPS", "fr_prisulfonamd", "Ipc", "AvgIpc", "Kappa3"}
    assert not unstable & set(DESCRIPTORS)


def test_values_are_those_of_rdkit() -> None:
    wanted = Descriptors.CalcMolDescriptors(Chem.MolFromSmiles(MOLECULE))
    found = stable_descriptors(MOLECULE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [wanted[name] for name in DESCRIPTORS], rtol=1e-6)


@pytest.mark.parametrize(
    "other",
    [
        Chem.MolToSmiles(Chem.AddHs(Chem.MolFromSmiles(MOLECULE))),
        "[13CH3][C@@H](O)c1ccc(Cl)cc1C(=O)NCC",
        "[2H]C[C@@H](O)c1ccc(Cl)cc1C(=O)NCC",
        "[CH3:7][C@@H:1](O)c1ccc(Cl)cc1C(=O)NCC",
        Chem.MolToSmiles(Chem.MolFromSmiles(MOLECULE), doRandom=True),
    ],
)
def test_hydrogens_isotopes_maps_and_writing_change_nothing(other: str) -> None:
    np.testing.assert_allclose(stable_descriptors(other), stable_descriptors(MOLECULE), rtol=1e-6)


@pytest.mark.parametrize(("smiles", "missing"), [("[Na+].[Cl-]", 8), ("*CC", 12), ("CC(C)(C)O", 0)])
def test_what_rdkit_cannot_do_is_nan_value_by_value(smiles: str, missing: int) -> None:
    assert np.isnan(stable_descriptors(smiles)).sum() == missing


def test_no_molecule_is_refused() -> None:
    with pytest.raises(ValueError, match="RDKit cannot read 'C1CC'"):
        stable_descriptors("C1CC")
