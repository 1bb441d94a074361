"""Equal molecules get equal 3D, however they are written and wherever they come from."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem, rdDistGeom, rdForceFieldHelpers

from moleblend_plugin.chem.codes import heavy_atoms
from moleblend_plugin.chem.convert import ConversionConfig, convert, convert_molecule
from moleblend_plugin.chem.geometry import conformers
from moleblend_plugin.chem.geometry.canonical import canonical
from moleblend_plugin.chem.geometry.conformers import ConformerConfig, make_conformers, molecule_seed
from moleblend_plugin.chem.geometry.relax import Relaxed, relax, type_atoms
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord

FREESOLV = Path(__file__).parents[2] / "examples" / "00_demo" / "freesolv.csv"
WITH_3D = ConversionConfig(ConformerConfig(timeout_s=60))
DRUG = "CN1CCN(CC1)Cc1ccc(cc1)C(=O)Nc1ccc(C)c(Nc2nccc(n2)-c2cccnc2)c1"
"""Imatinib: needs more than 200 steps to its minimum."""
ODD = [
    "CC(=O)[O-].[Na+].O",  # fragments
    "OC(=O)C(O)C(O)C(=O)O",  # centres without a sense
    "O[C@H]([C@@H](O)C(=O)O)C(=O)O",  # meso
    "OC(=O)[C@@H](O)[C@@H](O)C(=O)O",
    r"CC/C=C/C=C\C(=O)OC",
    "*CC(*)c1ccccc1",
    "C[N+](C)(C)CC(O)CC(=O)[O-]",
    "C1CC2CCC1CC2",
    "O[C@H]1CC[C@@H](CC1)C(C)C",  # ring stereo
    "C12C3C4C1C5C2C3C45",
    "[CH2]CC",
    "N->[Pt](<-N)(Cl)Cl",
    "[2H]C([2H])([2H])O",
    "C",
]


def rows() -> Any:
    with FREESOLV.open(newline="") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    return smiles[::40]


def record_of(smiles: str, config: ConversionConfig = WITH_3D) -> MoleculeRecord:
    return convert(RawRow("a.smi", 0, smiles, "smiles"), config)


def distances(places: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.linalg.norm(places[:, None] - places[None], axis=-1)


def difference(
    smiles: str, one: npt.NDArray[np.float32], other_smiles: str, other: npt.NDArray[np.float32]
) -> np.float32:
    """Largest difference of a distance in Angstrom, atoms laid on each other as symmetry allows."""
    mol, again = (heavy_atoms(Chem.MolFromSmiles(each)) for each in (smiles, other_smiles))
    for each in (mol, again):
        for index in range(each.GetNumAtoms()):
            each.GetAtomWithIdx(index).SetAtomMapNum(0)
            each.GetAtomWithIdx(index).SetIsotope(0)
    left, right = distances(one), distances(other)
    matches = mol.GetSubstructMatches(again, useChirality=True, uniquify=False, maxMatches=20_000)
    return min(np.abs(left[np.ix_(match, match)] - right).max() for match in map(list, matches))


@pytest.mark.parametrize("smiles", [*rows(), *ODD, DRUG])
def test_another_writing_gives_the_same_conformer(smiles: str) -> None:
    record = record_of(smiles)
    assert record.coords is not None
    for seed in (1, 2):
        other = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, randomSeed=seed)[0]
        again = record_of(other)
        assert again.coords_from == record.coords_from
        assert difference(smiles, record.coords[0], other, again.coords[0]) < 0.01


def test_atom_maps_and_isotopes_are_no_geometry() -> None:
    plain = record_of("C[C@H](N)C(=O)OCC").coords
    for same in ("[CH3:3][C@H:1]([NH2:9])[C:2](=[O:4])[O:5][CH2:6][CH3:7]", "[13CH3][C@H]([15NH2])C(=O)OCC"):
        np.testing.assert_allclose(record_of(same).coords, plain, atol=1e-6)
    np.testing.assert_allclose(record_of("[2H]C([2H])O").coords, record_of("CO").coords, atol=1e-6)


def test_an_isotope_that_makes_a_centre_keeps_its_sense() -> None:
    """(R) and (S) of 2-propanol with one labelled methyl group are mirror images: so is their geometry."""
    volumes = []
    for smiles in ("[13CH3][C@H](C)O", "[13CH3][C@@H](C)O"):
        record = record_of(smiles)
        centre = record.coords[0] - record.coords[0][1]
        # the carbon's hydrogen is not stored: three neighbours span a volume whose sign is the sense
        volumes.append(float(np.linalg.det(centre[[0, 2, 3]])))
    assert volumes[0] * volumes[1] < -0.1


def test_mirror_images_stay_mirror_images() -> None:
    left, right = (record_of(smiles).coords[0] for smiles in ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"))
    volume = [np.linalg.det((each - each[1])[[0, 2, 3]]) for each in (left, right)]
    assert volume[0] * volume[1] < 0


def test_a_mol_block_in_any_order_gives_the_conformer_of_its_smiles() -> None:
    smiles = "C[C@H](N)C(=O)Oc1ccccc1"
    mol = Chem.MolFromSmiles(smiles)
    AllChem.Compute2DCoords(mol)
    order = np.random.default_rng(3).permutation(mol.GetNumAtoms()).tolist()
    shuffled = Chem.RenumberAtoms(mol, order)
    block = convert(RawRow("a.sdf", 0, Chem.MolToMolBlock(shuffled), "molblock"), WITH_3D)
    memory = convert_molecule(Chem.AddHs(shuffled), 0, WITH_3D)
    plain = record_of(smiles)
    for other in (block, memory):
        assert other.coords_from == plain.coords_from == "ETKDGv3+MMFF94"
        # phenyl's two sides may be exchanged
        found = np.sort(distances(other.coords[0]), axis=None)
        np.testing.assert_allclose(found, np.sort(distances(plain.coords[0]), axis=None), atol=0.01)


def test_several_conformers_are_the_same_and_differ_from_each_other() -> None:
    smiles, other = "CCOC(=O)CCN", "NCCC(=O)OCC"
    config = ConversionConfig(ConformerConfig(count=4, timeout_s=60))
    one, two = record_of(smiles, config).coords, record_of(other, config).coords
    assert one.shape == two.shape == (4, 8, 3)
    for first, second in zip(one, two, strict=True):
        assert difference(smiles, first, other, second) < 0.01
    apart = [np.abs(distances(one[i]) - distances(one[j])).max() for i in range(4) for j in range(i)]
    assert max(apart) > 0.5  # a flexible chain


@pytest.mark.parametrize("smiles", [*rows()[:5], *ODD])
def test_atoms_are_found_again(smiles: str) -> None:
    mol = heavy_atoms(Chem.MolFromSmiles(smiles))
    one = canonical(mol)
    assert sorted(one.rows) == list(range(mol.GetNumAtoms()))
    for index, row in enumerate(one.rows):
        assert mol.GetAtomWithIdx(index).GetSymbol() == one.mol.GetAtomWithIdx(row).GetSymbol()
    bonds = {
        frozenset((one.rows[bond.GetBeginAtomIdx()], one.rows[bond.GetEndAtomIdx()]))
        for bond in mol.GetBonds()
    }
    assert bonds == {frozenset((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())) for bond in one.mol.GetBonds()}
    assert one.smiles == Chem.MolToSmiles(one.mol)


def test_bonds_that_smiles_lacks_are_put_in_canonical_ranks() -> None:
    editable = Chem.RWMol(Chem.MolFromSmiles("OCC.N"))
    editable.AddBond(0, 3, Chem.BondType.HYDROGEN)
    mol = editable.GetMol()
    Chem.SanitizeMol(mol)
    one = canonical(mol)
    assert sorted(one.rows) == [0, 1, 2, 3]
    assert [one.mol.GetAtomWithIdx(row).GetSymbol() for row in one.rows] == ["O", "C", "C", "N"]
    coords, _ = make_conformers(mol, ConformerConfig())
    assert coords is not None
    assert 1.3 < np.linalg.norm(coords[0, 0] - coords[0, 1]) < 1.5


def embedded(smiles: str) -> Chem.Mol:
    """The molecule as a build embeds it, before relaxation."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = molecule_seed(0, smiles)
    assert rdDistGeom.EmbedMolecule(mol, parameters) == 0
    return mol


def minimised(smiles: str, steps: int) -> tuple[npt.NDArray[np.float64], bool]:
    """Heavy atoms [N, 3] after RDKit's own minimiser, and whether it is done."""
    mol = embedded(smiles)
    more = rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=steps)
    return mol.GetConformer().GetPositions()[: mol.GetNumHeavyAtoms()], more == 0


def test_relaxing_ends_at_the_minimum_beyond_rdkits_200_steps() -> None:
    smiles = Chem.CanonSmiles(DRUG)
    short, done = minimised(smiles, 200)
    assert not done
    minimum, done = minimised(smiles, 20_000)
    assert done
    record = record_of(smiles)
    assert record.coords_from == "ETKDGv3+MMFF94"
    np.testing.assert_allclose(record.coords[0], minimum, atol=1e-3)
    assert np.abs(record.coords[0] - short).max() > 0.01


@pytest.mark.parametrize(
    ("count", "told"),
    [(1, "ETKDGv3+MMFF94, not converged"), (3, "ETKDGv3+MMFF94, not converged: 3 of 3 not converged")],
)
def test_a_conformer_that_is_not_at_its_minimum_is_told(count: int, told: str) -> None:
    config = ConversionConfig(ConformerConfig(count=count, relax_steps=3))
    record = record_of("CCOC(=O)CCN", config)
    assert len(record.coords) == count
    assert record.coords_from == told


def test_steps_of_large_molecules_follow_from_their_size_not_from_the_clock() -> None:
    """140 atoms, 0.5 s: 200 steps, in one stretch; the same whatever the clock says as long as it says go."""
    mol = Chem.AddHs(Chem.MolFromSmiles("C" * 46))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
    again = Chem.Mol(mol)
    ends = []
    for each in (mol, again):
        told = relax(each, [0], type_atoms(each), 100_000, 0.5, float("inf"))
        assert told.problem == ""
        ends.append(each.GetConformer().GetPositions())
    np.testing.assert_array_equal(*ends)


def test_relaxing_that_breaks_the_molecule_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(full: Any, ids: Any, *rest: object) -> Any:
        for number in ids:
            conformer = full.GetConformer(number)
            conformer.SetPositions(conformer.GetPositions() * 3)
        return Relaxed("", 0)

    monkeypatch.setattr(conformers, "relax", explode)
    record = record_of("CCO")
    assert record.coords_from == "ETKDGv3, relaxing gives implausible distances"
    assert 1.3 < np.linalg.norm(record.coords[0, 0] - record.coords[0, 1]) < 1.6


def test_no_steps_are_refused_unless_relaxing_is_off() -> None:
    with pytest.raises(MoleblendError, match="relax_steps must be 1 or more to relax, got 0"):
        ConformerConfig(relax_steps=0)
    assert ConformerConfig(relax=False, relax_steps=0).relax_steps == 0
