"""The fast method: distances as in experiments, stereochemistry kept, and what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from moleblend_plugin.chem.geometry.conformer_method import METHODS, find_method
from moleblend_plugin.chem.geometry.conformers import ConformerConfig, Conformers, make_conformers
from moleblend_plugin.errors import MoleblendError

FAST = ConformerConfig.by_method("fast")
IBUPROFEN = "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O"


def made(smiles: str, config: ConformerConfig = FAST) -> Conformers:
    return make_conformers(Chem.MolFromSmiles(smiles), config)


def test_hydrogens_are_not_embedded_but_take_part_in_relaxing(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, embed = [], rdDistGeom.EmbedMultipleConfs

    def embed_and_note(mol: Chem.Mol, *rest: object) -> object:
        sizes.append(mol.GetNumAtoms())
        return embed(mol, *rest)

    monkeypatch.setattr(rdDistGeom, "EmbedMultipleConfs", embed_and_note)
    coords, made_by = made(IBUPROFEN)
    assert (sizes, made_by, coords.shape) == ([15], "KDG+MMFF94", (1, 15, 3))
    sizes.clear()
    assert made(IBUPROFEN, ConformerConfig()).made_by == "ETKDGv3+MMFF94"
    assert sizes == [33]


@pytest.mark.parametrize(
    ("smiles", "distances"),
    [  # bonds and 1,3-distances in Angstrom: ethanol (microwave), benzene, formamide (electron diffraction)
        ("CCO", [1.51, 2.38, 1.43]),
        ("c1ccccc1", [1.397, 2.42, 2.79, 2.42, 1.397]),
        ("NC=O", [1.36, 2.25, 1.21]),
    ],
)
def test_distances_are_those_of_experiment(smiles: str, distances: list[float]) -> None:
    coords = made(smiles).coords
    assert coords is not None
    from_first = np.linalg.norm(coords[0, 1:] - coords[0, 0], axis=-1)
    last = np.linalg.norm(coords[0, -1] - coords[0, -2])
    found = [*from_first, last] if len(distances) > len(from_first) else from_first
    np.testing.assert_allclose(found, distances, atol=0.05)


def test_the_full_minimum_is_where_more_steps_lead() -> None:
    """With 1,000 steps instead of 100 a rigid molecule is at the same minimum as the full method's."""
    quinoline = "c1ccc2ncccc2c1"
    relaxed = made(quinoline, ConformerConfig.by_method("fast", steps=1000)).coords
    full = made(quinoline, ConformerConfig()).coords
    assert relaxed is not None
    assert full is not None
    one, other = (np.linalg.norm(each[0][:, None] - each[0], axis=-1) for each in (relaxed, full))
    np.testing.assert_allclose(one, other, atol=0.01)


@pytest.mark.parametrize(
    "smiles",
    [
        *("N[C@@H](C)C(=O)O", "N[C@H](C)C(=O)O", "F/C=C/Cl", "F/C=C\\Cl", "C[S@](=O)CC", "C/C=N/O"),
        *("CN1CC[C@]23[C@@H]4[C@H]1CC5=C2C(=C(C=C5)O)O[C@H]3[C@H](C=C4)O", IBUPROFEN),
        "C[C@]12CC[C@H]3[C@@H](CCC4=CC(=O)CC[C@]34C)[C@@H]1CC[C@@H]2O",
    ],
)
def test_stereochemistry_is_kept(smiles: str) -> None:
    mol = Chem.MolFromSmiles(smiles)
    coords = made(smiles).coords
    assert coords is not None
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(coords[0].astype(float))
    rebuilt = Chem.Mol(mol)
    Chem.RemoveStereochemistry(rebuilt)
    rebuilt.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(rebuilt)
    assert Chem.MolToSmiles(rebuilt) == Chem.MolToSmiles(mol)


def test_one_atom_salts_and_several_conformers() -> None:
    assert made("C").coords.shape == (1, 1, 3)
    salt = made("CC(=O)[O-].[NH4+]", ConformerConfig.by_method("fast", count=3))
    assert salt.made_by == "KDG+MMFF94"
    distances = np.linalg.norm(salt.coords[:, :4] - salt.coords[:, 4:], axis=2)
    assert distances.min() > 2.0
    assert distances.min(1).max() < 10.0


def test_what_is_not_relaxed_is_embedded_as_with_the_full_method() -> None:
    for smiles in ("CC[Fe]", "CCN=C=S"):
        fast, full = made(smiles), made(smiles, ConformerConfig())
        assert fast.made_by == full.made_by
        np.testing.assert_array_equal(fast.coords, full.coords)


def test_words_and_steps_of_the_methods() -> None:
    assert list(METHODS) == ["full", "fast"]
    with pytest.raises(MoleblendError, match="--conformer-method quick: choose from full, fast"):
        find_method("quick")
    with pytest.raises(MoleblendError, match="--conformer-method fast relaxes what it embeds"):
        ConformerConfig.by_method("fast", steps=0)
    assert (FAST.relax_steps, ConformerConfig.by_method("full").relax_steps) == (100, 1000)
    assert ConformerConfig.by_method("full") == ConformerConfig()
    assert ConformerConfig.by_method("fast", steps=7).relax_steps == 7
