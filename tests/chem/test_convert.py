"""Rows to records or rejections: what is kept, what is refused, and why."""

from __future__ import annotations

import pickle

import numpy as np
import numpy.typing as npt
import pytest
from rdkit import Chem

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.geometry.conformers import ConformerConfig
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.schema import MoleculeRecord, Rejection

FLAT = ConversionConfig()
WITH_3D = ConversionConfig(ConformerConfig(timeout_s=10.0))


def from_smiles(
    text: str, config: ConversionConfig = FLAT, targets: tuple[float, float] = ()
) -> MoleculeRecord | Rejection:
    return convert(RawRow("a.smi", 7, text, "smiles", targets), config)


def from_block(text: str, config: ConversionConfig = FLAT) -> MoleculeRecord | Rejection:
    return convert(RawRow("a.sdf", 7, text, "molblock"), config)


def block(
    smiles: str,
    places: list[list[float]] | npt.NDArray[np.float32] | npt.NDArray[np.float64],
    flag: str = "3D",
    hydrogens: bool = False,
) -> str:
    """A mol block with the given places [A, 3] and dimension flag."""
    mol = Chem.MolFromSmiles(smiles)
    mol = Chem.AddHs(mol) if hydrogens else mol
    conformer = Chem.Conformer(mol.GetNumAtoms())
    for atom, place in enumerate(np.asarray(places, float)):
        conformer.SetAtomPosition(atom, place)
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    lines = Chem.MolToMolBlock(mol, kekulize=True).split("\n")
    lines[0], lines[1] = "a title", lines[1][:20] + flag
    return "\n".join(lines)


def spread(count: int) -> npt.NDArray[np.float64]:
    """Places of ``count`` atoms: distinct and out of plane."""
    return np.stack([1.4 * np.arange(count), np.arange(count) % 2, 0.3 * (np.arange(count) % 3)], 1)


def test_a_smiles_becomes_a_record() -> None:
    record = from_smiles("OCC", targets=(1.5, float("nan")))
    assert isinstance(record, MoleculeRecord)
    assert (record.row_id, record.smiles, record.n_atoms) == ("a.smi:7", "CCO", 3)
    assert record.atom_codes[:, 0].tolist() == [7, 5, 5]  # the row's own order
    assert record.bonds.tolist() == [[0, 1], [1, 2]]
    np.testing.assert_array_equal(record.targets, [1.5, np.nan])
    assert (record.coords, record.coords_from) == (None, "no coordinates in the source, none wanted")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty SMILES"),
        ("  ", "empty SMILES"),
        ("C(C", "SMILES syntax"),
        ("not a molecule", "SMILES syntax"),
        ("CN(C)(C)C", "impossible valence: Explicit valence for atom # 1 N, 4, is greater than permitted"),
        ("c1cccc1", "aromaticity without Kekule form"),
        ("[H][H]", "no heavy atoms"),
        ("[H+]", "no heavy atoms"),
    ],
)
def test_a_row_that_is_no_molecule_is_rejected_with_its_reason(
    text: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rejection = from_smiles(text)
    assert isinstance(rejection, Rejection)
    assert (rejection.source, rejection.row, rejection.text) == ("a.smi", 7, text)
    assert rejection.reason.startswith(reason)
    assert "\n" not in rejection.reason
    assert capfd.readouterr().err == ""  # RDKit's own complaints stay out of the user's terminal


def test_isotopes_of_hydrogen_stay_in_the_identity_only() -> None:
    record = from_smiles("[2H]C([2H])O", WITH_3D)
    assert record.smiles == "[2H]C([2H])O"
    assert record.n_atoms == 2
    assert record.atom_codes[:, 4].tolist() == [3, 1]
    assert record.coords.shape == (1, 2, 3)


@pytest.mark.parametrize("smiles", ["C", "[Na+].[Cl-]", "CCO.CCN.O", "[Fe]", "*CC", "C1CC1"])
def test_small_and_odd_molecules_pass_whole(smiles: str) -> None:
    record = from_smiles(smiles, WITH_3D)
    mol = Chem.MolFromSmiles(smiles)
    assert record.n_atoms == mol.GetNumAtoms()
    assert len(record.bonds) == len(record.bond_codes) == mol.GetNumBonds()
    assert record.coords.shape == (1, record.n_atoms, 3)
    assert np.isfinite(record.coords).all()


def test_more_than_200_heavy_atoms() -> None:
    record = from_smiles("C(=O)N" * 100)
    assert record.n_atoms == 300
    assert record.bonds.max() == 299


def test_coordinates_of_the_source_are_kept_without_the_hydrogens() -> None:
    text = block("CO", [[0, 0, 0.1], [1.4, 0, 0], [5, 5, 5], [6, 6, 6], [7, 7, 7], [8, 8, 8]], hydrogens=True)
    for config in (FLAT, WITH_3D):
        record = from_block(text, config)
        assert record.coords_from == "source"
        np.testing.assert_allclose(record.coords, [[[0, 0, 0.1], [1.4, 0, 0]]], atol=1e-6)


def test_source_coordinates_can_be_left_aside() -> None:
    text = block("CCO", spread(3))
    assert from_block(text, ConversionConfig(source_coords=False)).coords is None
    other = from_block(text, ConversionConfig(ConformerConfig(), source_coords=False))
    assert other.coords_from == "ETKDGv3+MMFF94"


def test_heavy_atoms_without_their_hydrogens_keep_their_coordinates() -> None:
    record = from_block(block("CCO", spread(3)))
    np.testing.assert_allclose(record.coords[0], spread(3), atol=1e-4)
    assert record.atom_codes[:, 4].tolist() == [3, 2, 1]


@pytest.mark.parametrize("flag", ["2D", "  "])
def test_a_drawing_is_not_3d(flag: str) -> None:
    places = spread(3) * [1, 1, 0]
    record = from_block(block("CCO", places, flag))
    assert (record.coords, record.coords_from) == (None, "source is 2D, none wanted")
    assert from_block(block("CCO", places, flag), WITH_3D).coords_from == "ETKDGv3+MMFF94"


def test_flat_records_flagged_3d_are_believed_only_where_flat_is_possible() -> None:
    ring = np.array([[np.cos(a), np.sin(a), 0] for a in np.arange(6) * np.pi / 3]) * 1.4
    assert from_block(block("c1ccccc1", ring)).coords_from == "source"
    quaternary = block("CC(C)(C)C", spread(5) * [1, 1, 0])
    assert from_block(quaternary).coords_from == "source is 2D, none wanted"


@pytest.mark.parametrize("places", [np.zeros((3, 3)), [[0, 0, 0], [0, 0, 0.01], [1, 1, 1]]])
def test_placeholders_are_no_geometry(places: list[list[float]] | npt.NDArray[np.float64]) -> None:
    record = from_block(block("CCO", places))
    assert record.coords is None
    assert record.coords_from in (
        "no coordinates in the source, none wanted",
        "source coordinates overlap, none wanted",
    )


def test_stereo_of_a_3d_record_comes_from_its_geometry() -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("N[C@@H](C)C(=O)O"))
    made = from_smiles("N[C@@H](C)C(=O)O", WITH_3D)
    heavy = Chem.MolFromSmiles("NC(C)C(=O)O")
    text = block("NC(C)C(=O)O", made.coords[0])
    assert heavy.GetNumAtoms() == made.n_atoms < mol.GetNumAtoms()
    assert from_block(text).smiles == "C[C@H](N)C(=O)O"  # RDKit's canonical form of the input


@pytest.mark.parametrize(
    "text", ["", "a title\n", "title\n\n\n  9  9  0\nnonsense\nM  END\n", "x\n\n\n  1  0 0 V2000\n"]
)
def test_an_unreadable_block_is_rejected(text: str) -> None:
    rejection = from_block(text)
    assert isinstance(rejection, Rejection)
    assert rejection.reason.split(":")[0] in ("unreadable mol block", "no heavy atoms", "RDKit fails")


def test_a_block_with_impossible_valence_says_so() -> None:
    text = block("CCCCCC", spread(6)).replace(" C   0", " F   0", 2)
    rejection = from_block(text)
    assert rejection.reason.startswith("impossible valence")
    assert rejection.text == "a title"


def test_rdkits_failure_in_embedding_leaves_the_2d_side(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("Invariant Violation\n\tbad bound\n\tViolation occurred on line 204 in file x.cpp")

    monkeypatch.setattr("moleblend_plugin.chem.convert.make_conformers", fail)
    record = from_smiles("CCO", WITH_3D)
    assert (record.coords, record.coords_from) == (None, "embedding fails: Invariant Violation bad bound")


def test_rdkits_failure_elsewhere_is_a_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("Invariant\n  Violation")

    monkeypatch.setattr("moleblend_plugin.chem.convert.encode_molecule", fail)
    assert from_smiles("CCO").reason == "RDKit fails: Invariant Violation"


def test_rows_and_results_travel_between_processes() -> None:
    row = RawRow("a.smi", 7, "CCO", "smiles", (1.0,))
    assert pickle.loads(pickle.dumps(row)) == row
    record = pickle.loads(pickle.dumps(from_smiles("CCO", WITH_3D)))
    assert record.smiles == "CCO"
    assert record.coords.shape == (1, 3, 3)
