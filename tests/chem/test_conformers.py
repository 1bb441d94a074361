"""Conformers: seeded per molecule, relaxed when possible, bounded in time, 2D with a reason otherwise."""

from __future__ import annotations

import time

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from moleblend_plugin.chem.geometry import conformers
from moleblend_plugin.chem.geometry.conformers import (
    ConformerConfig,
    Conformers,
    make_conformers,
    molecule_seed,
)
from moleblend_plugin.errors import MoleblendError

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def made(smiles: str, **config: float) -> Conformers:
    mol = Chem.MolFromSmiles(smiles)
    return make_conformers(mol, ConformerConfig(**config))


def test_seed_is_a_stable_function_of_build_seed_and_smiles() -> None:
    # printf '0:CCO' | sha256sum begins with cbf5cef2: four bytes, little-endian, top bit cleared
    assert (
        molecule_seed(0, "CCO")
        == int.from_bytes(bytes.fromhex("cbf5cef2"), "little") & 0x7FFFFFFF
        == 1926165963
    )
    assert len({molecule_seed(seed, smiles) for seed in (0, 1) for smiles in ("CCO", "CCN")}) == 4


def test_same_seed_same_coordinates_other_seed_others() -> None:
    first, again, other = (made(ASPIRIN, count=2, seed=seed).coords for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_shape_unit_and_order_are_those_of_the_heavy_atoms() -> None:
    coords, made_by = made(ASPIRIN, count=4)
    mol = Chem.MolFromSmiles(ASPIRIN)
    assert (coords.shape, coords.dtype, made_by) == ((4, 13, 3), np.float32, "ETKDGv3+MMFF94")
    for bond in mol.GetBonds():  # bonds between C and O are 1.15 to 1.6 Angstrom long
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        lengths = np.linalg.norm(coords[:, i] - coords[:, j], axis=1)
        assert (lengths > 1.15).all()
        assert (lengths < 1.6).all()


def test_relaxing_is_rdkits_own_minimum() -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles(ASPIRIN))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = molecule_seed(0, "CC(=O)Oc1ccccc1C(=O)O")
    rdDistGeom.EmbedMolecule(mol, parameters)
    start = mol.GetConformer().GetPositions()[:13].copy()
    assert rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=1000) == 0  # converged
    np.testing.assert_allclose(made(ASPIRIN, relax=False).coords[0], start, atol=1e-4)
    np.testing.assert_allclose(made(ASPIRIN).coords[0], mol.GetConformer().GetPositions()[:13], atol=1e-3)


def test_without_parameters_for_mmff_the_embedded_ones_stay() -> None:
    assert made("[Fe]").made_by == "ETKDGv3, no MMFF94 parameters"
    assert made("CCO", relax=False).made_by == "ETKDGv3"


def test_one_atom_and_salts() -> None:
    assert made("C").coords.shape == (1, 1, 3)
    salt = made("CC(=O)[O-].[Na+]", count=3).coords
    distances = np.linalg.norm(salt[:, :4] - salt[:, 4:], axis=2)
    assert distances.min() > 1.0  # the ion does not sit in the molecule


def test_chirality_of_the_smiles_is_kept() -> None:
    for smiles in ("N[C@@H](C)C(=O)O", "N[C@H](C)C(=O)O", "F/C=C/Cl", "F/C=C\\Cl"):
        mol = Chem.MolFromSmiles(smiles)
        coords = made(smiles).coords[0]
        conformer = Chem.Conformer(mol.GetNumAtoms())
        for atom, place in enumerate(coords.astype(float)):
            conformer.SetAtomPosition(atom, place)
        rebuilt = Chem.MolFromSmiles(smiles.replace("@", "").replace("/", "").replace("\\", ""))
        rebuilt.AddConformer(conformer)
        Chem.AssignStereochemistryFrom3D(rebuilt)
        assert Chem.MolToSmiles(rebuilt) == Chem.MolToSmiles(mol)


def test_failed_embedding_gives_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdDistGeom, "EmbedMultipleConfs", lambda *arguments: [])
    assert made("CCO") == (None, "embedding fails")


def test_too_large_for_the_limit_is_not_begun() -> None:
    began = time.monotonic()
    coords, why = made("C" * 800, timeout_s=1.0)
    assert coords is None
    assert why == "too large to embed within 1 s"
    assert time.monotonic() - began < 30  # smoothing alone would take minutes


def test_out_of_time_while_relaxing_keeps_the_embedded_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    unrelaxed = made(ASPIRIN, relax=False).coords
    clock = iter([0.0, 0.0] + [1e9] * 100)
    monkeypatch.setattr(conformers.time, "thread_time", lambda: next(clock))
    coords, made_by = made(ASPIRIN)
    assert made_by == "ETKDGv3, relaxing takes too long"
    np.testing.assert_array_equal(coords, unrelaxed)


def test_out_of_time_before_embedding_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0] + [1e9] * 100)
    monkeypatch.setattr(conformers.time, "thread_time", lambda: next(clock))
    assert made(ASPIRIN, timeout_s=2.0) == (None, "embedding took longer than 2 s")


@pytest.mark.parametrize(
    ("field", "value"), [("count", 0), ("timeout_s", 0.0), ("timeout_s", float("nan")), ("timeout_s", -1.0)]
)
def test_impossible_settings_are_refused(field: str, value: float) -> None:
    with pytest.raises(MoleblendError, match=str(value)):
        ConformerConfig(**{field: value})


@pytest.mark.parametrize(
    "smiles", ["CSC(=N)N.O=S(=O)(O)O", "[Na+].[Cl-]", "CC(=O)[O-].[Na+].O.O", "C" * 30 + ".O"]
)
def test_fragments_lie_side_by_side(smiles: str) -> None:
    """No overlap, and no gap much beyond a contact between each fragment and the next."""
    mol = Chem.MolFromSmiles(smiles)
    coords, _ = make_conformers(mol, ConformerConfig(count=2))
    assert coords is not None
    fragments = [list(atoms) for atoms in Chem.GetMolFrags(mol)]
    for places in coords:
        distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
        for own in fragments:
            others = [atom for atom in range(len(places)) if atom not in own]
            assert 2.0 < distance[np.ix_(own, others)].min() < 10.0
