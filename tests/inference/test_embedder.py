"""Embeddings: which vector belongs to which atom, and how the three kinds hang together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from rdkit import Chem

from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.embedder import Embedder
from moleblend_plugin.schema import MoleculeRecord
from tests.molecules import make_record, make_records


def embedder(path: Path, what: str, **options: str | None) -> Embedder:
    return Embedder.from_checkpoint(path, what, device="cpu", **options)


def record_of(molecule: Chem.Mol | str) -> MoleculeRecord:
    return convert_molecule(molecule, 0, ConversionConfig(None))


def atoms_of(path: Path, molecule: Chem.Mol | str) -> npt.NDArray[np.float32]:
    (vectors,) = embedder(path, "atoms", input_mode="2d").embed_records([record_of(molecule)])
    return vectors


def test_atoms_stand_in_rdkit_s_order(pretrained: Path) -> None:
    """The same molecule written from its other end: vectors move with the atoms that RDKit says they are."""
    one, other = "CC(N)CC(=O)OCCCl", "ClCCOC(=O)CC(C)N"
    mol = Chem.MolFromSmiles(one)
    match = Chem.MolFromSmiles(other).GetSubstructMatch(mol)  # atom i of one is atom match[i] of the other
    assert list(match) != sorted(match)
    left, right = atoms_of(pretrained, one), atoms_of(pretrained, other)
    assert left.shape == (mol.GetNumAtoms(), 128)
    np.testing.assert_allclose(left, right[list(match)], atol=1e-5)
    assert np.abs(left - right).max() > 1e-2


def test_hydrogens_are_left_out(pretrained: Path) -> None:
    molecule = Chem.MolFromSmiles("CCO")
    with_hydrogens = Chem.AddHs(molecule)
    heavy = [atom.GetIdx() for atom in with_hydrogens.GetAtoms() if atom.GetAtomicNum() > 1]
    moved = Chem.RenumberAtoms(with_hydrogens, [8, 7, *reversed(heavy), 3, 4, 5, 6])  # hydrogens in front
    np.testing.assert_allclose(atoms_of(pretrained, moved), atoms_of(pretrained, "OCC"), atol=1e-5)


def test_the_mean_is_that_of_the_atoms(regression: Path) -> None:
    records = make_records([5, 9, 1])
    atoms = list(embedder(regression, "atoms").embed_records(records))
    means = list(embedder(regression, "mean").embed_records(records))
    for vectors, mean in zip(atoms, means, strict=True):
        np.testing.assert_allclose(vectors.mean(0), mean, atol=1e-5)
    (graph, *_) = embedder(regression, "graph").embed_records(records)
    assert graph.shape == (128,)
    assert graph.dtype == np.float32


@pytest.mark.parametrize("what", ["graph", "mean", "atoms"])
def test_embeddings_do_not_depend_on_company(pretrained: Path, what: str) -> None:
    records = [*make_records([6, 20, 2]), make_record(7, 8, conformers=2)]
    network = embedder(pretrained, what)
    alone = [next(network.embed_records([record])) for record in records]
    for batch_size in (2, 64):
        for got, expected in zip(network.embed_records(records, batch_size), alone, strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_fine_tuned_encoder_keeps_its_input_mode(regression: Path, pretrained: Path) -> None:
    assert embedder(regression, "graph").input_mode == "both"
    assert embedder(pretrained, "graph").input_mode == "both"
    assert embedder(pretrained, "graph", input_mode="3d").input_mode == "3d"


@pytest.mark.parametrize(
    ("what", "mode", "words"),
    [
        ("cls", None, "--what 'cls' is unknown; choose from graph, mean, atoms"),
        ("graph", "4d", "--input-mode '4d' is unknown; choose from 2d, 3d, both"),
    ],
)
def test_an_unknown_choice_is_one_line(pretrained: Path, what: str, mode: str | None, words: str) -> None:
    with pytest.raises(MoleblendError, match=words):
        embedder(pretrained, what, input_mode=mode)
