"""Uni-Mol's rows: whose coordinates they are, what is no geometry, and labels in every form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from moleblend_plugin.chem.atom_order import in_smiles_order
from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.geometry.conformers import ConformerConfig
from moleblend_plugin.chem.readers.unimol import row_of
from moleblend_plugin.schema import MoleculeRecord, Rejection

PLAIN = ConversionConfig()


def places(mol: Chem.Mol, count: int = 2) -> list[npt.NDArray[np.float32]]:
    AllChem.EmbedMultipleConfs(mol, count, randomSeed=7)
    return [conformer.GetPositions().astype(np.float32) for conformer in mol.GetConformers()]


def drawing(mol: Chem.Mol) -> npt.NDArray[np.float32]:
    copy = Chem.Mol(mol)
    AllChem.Compute2DCoords(copy)
    return copy.GetConformer().GetPositions().astype(np.float32)


def entry(
    smiles: str, count: int = 2, hydrogens: bool = True
) -> dict[str, list[npt.NDArray[np.float32] | str] | str]:
    """A value as Uni-Mol's notebook makes it."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    coords, symbols = places(mol, count), [atom.GetSymbol() for atom in mol.GetAtoms()]
    kept = [i for i, symbol in enumerate(symbols) if hydrogens or symbol != "H"]
    return {
        "smi": smiles,
        "atoms": [symbols[i] for i in kept],
        "coordinates": [item[kept] for item in [*coords, drawing(mol)]],
    }


def record_of(value: dict[str, Any], config: ConversionConfig = PLAIN) -> MoleculeRecord:
    row = row_of("train.lmdb", 3, value, 0)
    result = convert(row, config)
    assert not isinstance(result, Rejection), result
    return result


@pytest.mark.parametrize("hydrogens", [True, False])
@pytest.mark.parametrize("smiles", ["OC(=O)[C@H](N)CS", "c1ccccc1", "CC#N", "NCC(O)C(C)=O", "N1CC1F"])
def test_heavy_atoms_keep_their_places_and_drawings_go(smiles: str, hydrogens: bool) -> None:
    value = entry(smiles, hydrogens=hydrogens)
    record = record_of(value)
    heavy = [i for i, symbol in enumerate(value["atoms"]) if symbol != "H"]
    expected = np.stack(value["coordinates"])[:-1, heavy]
    np.testing.assert_array_equal(record.coords, expected)
    assert record.coords_from == "source, drawings left out: 2 of 3 kept"
    assert (record.source, record.row) == ("train.lmdb", 3)


def test_ions_that_rdkit_embedded_on_top_of_each_other_are_no_geometry() -> None:
    """As Uni-Mol's notebook embeds a salt: the nitrogen lies in the acetate."""
    value = entry("[NH4+].[O-]C(C)=O")
    assert record_of(value).coords_from.startswith("source atoms too close, none wanted: N0-")
    made = record_of(value, ConversionConfig(ConformerConfig()))
    assert made.coords_from.startswith("ETKDGv3+MMFF94, source atoms too close: N0-")
    assert np.linalg.norm(made.coords[0, 0] - made.coords[0, 1:], axis=1).min() > 2.0


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v | {"coordinates": np.stack(v["coordinates"])},
        lambda v: v | {"coordinates": [block.tolist() for block in v["coordinates"]]},
        lambda v: v | {"coordinates": [block.astype(np.float64) for block in v["coordinates"]]},
        lambda v: v | {"atoms": np.array(v["atoms"])},
        lambda v: v | {"atoms": np.array(v["atoms"], object)},
        lambda v: v | {"mol": object(), "scaffold": "C", "ori_index": 4},
    ],
)
def test_every_form_gives_the_same_record(change: Callable[..., Any]) -> None:
    value = entry("CC(=O)N")
    plain = record_of(value)
    np.testing.assert_array_equal(record_of(change(value)).coords, plain.coords)


def test_one_conformer_may_stand_alone() -> None:
    value = entry("CC(=O)N")
    block = value["coordinates"][0]
    for one in (block, block.tolist(), [block]):
        record = record_of(value | {"coordinates": one})
        assert record.coords.shape == (1, 4, 3)
        assert record.coords_from == "source"


def swapped(value: Any) -> Any:
    """Two unlike carbons of pentanol in each other's place: the elements still fit."""
    blocks = [block.copy() for block in value["coordinates"]]
    for block in blocks:
        block[[0, 4]] = block[[4, 0]]
        block[[1, 3]] = block[[3, 1]]
        block[[1, 2]] = block[[2, 1]]
    return value | {"coordinates": blocks}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: v | {"atoms": v["atoms"][::-1]}, "not those of the SMILES, in its order"),
        (lambda v: v | {"atoms": v["atoms"][:-1]}, "not three for every atom"),
        (swapped, "do not fit the SMILES' bonds"),
        (lambda v: v | {"coordinates": [v["coordinates"][-1]] * 11}, "source is 2D"),
        (lambda v: v | {"coordinates": [0 * v["coordinates"][0]]}, "overlap"),
        (lambda v: v | {"coordinates": [v["coordinates"][0] * np.nan]}, "no numbers"),
        (lambda v: v | {"coordinates": [v["coordinates"][0].astype(np.float64) * 1e300]}, "no numbers"),
        (lambda v: v | {"coordinates": []}, "no coordinates in the source"),
        (lambda v: v | {"coordinates": "none"}, "no lists of numbers"),
        (lambda v: v | {"coordinates": [["x"] * len(v["atoms"])]}, "not three for every atom"),
        (lambda v: {"smi": v["smi"]}, "no coordinates in the source"),
    ],
)
def test_unfit_coordinates_leave_the_molecule_2d_with_the_reason(
    change: Callable[..., Any], reason: str
) -> None:
    record = record_of(change(entry("CCCCCO")))
    assert record.coords is None
    assert reason in record.coords_from
    assert record.smiles == "CCCCCO"


def test_unfit_coordinates_are_made_anew_where_wanted() -> None:
    value = entry("CCCCCO")
    made = record_of(value | {"atoms": value["atoms"][::-1]}, ConversionConfig(ConformerConfig()))
    assert made.coords_from.startswith("ETKDGv3")


def test_a_planar_molecule_without_depth_is_no_drawing() -> None:
    flat = np.zeros((1, 6, 3), np.float32)
    angle = np.arange(6) * math.pi / 3
    flat[0, :, 0], flat[0, :, 1] = 1.39 * np.cos(angle), 1.39 * np.sin(angle)
    value = {"smi": "c1ccccc1", "atoms": ["C"] * 6}
    assert record_of(value | {"coordinates": flat}).coords_from == "source"
    assert "2D" in record_of(value | {"coordinates": flat * (1.5 / 1.39)}).coords_from  # RDKit's drawing


@pytest.mark.parametrize(
    "target",
    [[1, 0.5, None], (1, 0.5, float("nan")), np.array([1, 0.5, np.nan]), [np.float32(1), 0.5, None],
     np.array([[1, 0.5, np.nan]]), np.array([1, 0.5, None], object), [[True], [0.5], [None]]],
)  # fmt: skip
def test_labels_come_in_many_forms(target: Any) -> None:
    row = row_of("a.lmdb", 0, {"smi": "C", "target": target}, 3)
    np.testing.assert_array_equal(row.targets, [1, 0.5, np.nan])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"target": [1]}, "no SMILES"),
        ({"smi": b"C", "target": [1]}, "no SMILES"),
        ({"smi": "C"}, "wrong number of targets: 0 instead of 1"),
        ({"smi": "C", "target": [1, 2]}, "wrong number of targets: 2 instead of 1"),
        ({"smi": "C", "target": "toxic"}, "target is no number: a str"),
        ({"smi": "C", "target": [float("inf")]}, "target is no number: inf"),
    ],
)
def test_unfit_rows_are_rejected_with_the_reason(
    value: dict[str, bytes | list[float] | str], reason: str
) -> None:
    rejection = row_of("a.lmdb", 7, value, 1)
    assert isinstance(rejection, Rejection)
    assert (rejection.source, rejection.row) == ("a.lmdb", 7)
    assert reason in rejection.reason


CHIRAL = [
    "C[C@H](N)C(=O)O",
    "F[C@](Cl)(Br)I",
    r"C/C=C\C(F)/C=C/C",
    "O[C@H]1C[C@@H](O)C1",
    "[2H]C([2H])O",
    "Cc1ccccc1C",
]


@pytest.mark.parametrize("hydrogens", [False, True])
@pytest.mark.parametrize("smiles", CHIRAL)
def test_atoms_in_the_order_of_the_smiles_are_the_same_molecule(smiles: str, hydrogens: bool) -> None:
    """From an order that no SMILES has; the geometry keeps the sense of its centres and double bonds."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=3)
    bare = Chem.RemoveAllHs(mol)
    shuffled = Chem.RenumberAtoms(bare, np.random.default_rng(5).permutation(bare.GetNumAtoms()).tolist())
    from moleblend_plugin.chem.readers.raw_row import RawRow

    record = convert(RawRow("a.sdf", 0, Chem.MolToMolBlock(shuffled), "molblock"), PLAIN)
    assert record.coords is not None
    listed = in_smiles_order(record, hydrogens)
    again = record_of(
        {"smi": record.smiles, "atoms": list(listed.symbols), "coordinates": list(listed.coords)}
    )
    assert again.smiles == record.smiles
    assert again.coords is not None
    assert sorted(map(tuple, again.coords[0].tolist())) == sorted(map(tuple, record.coords[0].tolist()))
    shown = Chem.RemoveAllHs(Chem.MolFromSmiles(again.smiles))
    placed = Chem.Mol(shown)
    shape = Chem.Conformer(shown.GetNumAtoms())
    for index, point in enumerate(again.coords[0].astype(float)):
        shape.SetAtomPosition(index, point.tolist())
    placed.AddConformer(shape)
    Chem.AssignStereochemistryFrom3D(placed)
    assert Chem.MolToSmiles(placed) == Chem.MolToSmiles(shown)
