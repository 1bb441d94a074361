"""Distances that no molecule has are no 3D, from RDKit or from the source; those of real molecules are."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from rdkit import Chem

from moleblend_plugin.chem.convert import ConversionConfig, convert, convert_molecule
from moleblend_plugin.chem.geometry.conformers import ConformerConfig
from moleblend_plugin.chem.geometry.plausible import Plausibility
from moleblend_plugin.chem.readers.raw_row import ListedAtoms, RawRow
from moleblend_plugin.schema import MoleculeRecord

FLAT = ConversionConfig()
WITH_3D = ConversionConfig(ConformerConfig())
BOHR = 1.8897


def why_not(smiles: str, places: list[list[float]] | npt.NDArray[np.float64]) -> str:
    return Plausibility(Chem.MolFromSmiles(smiles)).why_not(np.array(places, np.float32))


def placed(smiles: str, places: list[list[float]] | npt.NDArray[np.float64]) -> Chem.Mol:
    """An RDKit molecule with these coordinates, flagged 3D."""
    mol = Chem.MolFromSmiles(smiles)
    conformer = Chem.Conformer(mol.GetNumAtoms())
    for atom, place in enumerate(np.asarray(places, float).tolist()):
        conformer.SetAtomPosition(atom, place)
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    return mol


def given(
    smiles: str, places: list[list[float]] | npt.NDArray[np.float64], config: ConversionConfig = FLAT
) -> MoleculeRecord:
    return convert_molecule(placed(smiles, places), 0, config)


def made(smiles: str, config: ConversionConfig = WITH_3D) -> MoleculeRecord:
    return convert(RawRow("a.smi", 0, smiles, "smiles"), config)


def shortest(record: MoleculeRecord) -> np.float32:
    places = record.coords[0]
    return min(np.linalg.norm(places[i] - places[j]) for i, j in record.bonds)


ETHANOL = [[0, 0, 0], [1.512, 0.1, 0.2], [2.1, 1.35, -0.1]]


def octahedron(length: Any) -> Any:
    return [[0, 0, 0], *(sign * length * np.eye(3)[axis] for axis in range(3) for sign in (1, -1))]


def ferrocene(height: float = 1.66, radius: float = 1.21) -> Any:
    """Iron, then two rings of five above and below: Fe-C is 2.05 Angstrom."""
    angle = np.arange(5) * 2 * np.pi / 5
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return [[0, 0, 0], *([*spot, sign * height] for sign in (1, -1) for spot in ring)]


FERROCENE = "[Fe+2].[cH-]1cccc1.[cH-]1cccc1"


@pytest.mark.parametrize(
    ("smiles", "places"),
    [
        ("CCO", ETHANOL),
        ("N#N", [[0, 0, 0], [1.098, 0, 0]]),
        ("[C-]#[O+]", [[0, 0, 0], [1.128, 0, 0]]),
        ("FOOF", [[-0.67, 1.4, 0.6], [0.0, 0.6, -0.57], [0, -0.6, -0.57], [0.67, -1.4, 0.6]]),  # O-F 1.57
        ("F[P-](F)(F)(F)(F)F", np.array(octahedron(1.6))[[1, 0, 2, 3, 4, 5, 6]]),
        ("[Na+].[Cl-]", [[0, 0, 0], [2.36, 0, 0]]),
        ("[K+].[F-]", [[0, 0, 0], [2.17, 0, 0]]),
        ("C[Hg]C", [[-2.08, 0, 0], [0, 0, 0], [2.08, 0, 0]]),
        ("N[Pt](N)(Cl)Cl", [[2.05, 0, 0], [0, 0, 0], [0, 2.05, 0], [-2.32, 0, 0], [0, -2.32, 0]]),
        (FERROCENE, ferrocene()),
        ("C1C2CC1C2", [[1.2, 0, 0], [0, 0, 0.935], [-0.6, 1.04, 0], [0, 0, -0.935], [-0.6, -1.04, 0]]),
        ("[Cs]F", [[0, 0, 0], [2.35, 0, 0]]),
        ("*C", [[0, 0, 0], [1.09, 0, 0]]),
        ("C", [[5, 5, 5]]),
        ("O.O.O", [[0, 0, 0], [15, 0, 0], [30, 0, 0]]),  # each near the next
    ],
)
def test_real_geometries_pass(smiles: str, places: list[list[float]] | npt.NDArray[np.float64]) -> None:
    assert why_not(smiles, places) == ""


@pytest.mark.parametrize(
    ("smiles", "places", "reason"),
    [
        ("*CC", [[0.7, 0, 0], [0, 0, 0], [-0.8, 1.3, 0]], "bonds too short: *0-C1 0.7 A"),
        ("CCO", np.array(ETHANOL) * BOHR, "bonds too long (given in Bohr?)"),
        ("N#N", [[0, 0, 0], [1.098 * BOHR, 0, 0]], "bonds too long"),
        ("CCO", np.array(ETHANOL) / BOHR, "bonds too short"),
        ("CCO", np.array(ETHANOL) / 10, "bonds too short (given in nm?)"),
        ("CCO", np.array(ETHANOL) * 100, "bonds too long (given in pm?)"),
        ("CCO", np.array(ETHANOL) * 1e30, "bonds too long"),
        ("CCO", np.zeros((3, 3)), "coordinates overlap"),
        ("CCO", [ETHANOL[0], ETHANOL[1], ETHANOL[1]], "coordinates overlap"),
        ("CCO", [ETHANOL[0], [np.nan, 0, 0], ETHANOL[2]], "coordinates are no numbers"),
        ("CCO", [*ETHANOL[:2], [50, 0, 0]], "bonds too long: C1-O2"),
        ("CC.O", [[0, 0, 0], [1.5, 0, 0], [0.7, 0.4, 0]], "atoms too close"),
        ("[Na+].[Cl-]", [[0, 0, 0], [0.5, 0, 0]], "atoms too close: Na0-Cl1 0.5 A"),
        ("[Na+].[Cl-]", [[0, 0, 0], [300, 0, 0]], "fragments too far apart"),
        ("O.O.O", [[0, 0, 0], [15, 0, 0], [45, 0, 0]], "fragments too far apart"),
        # a ring whose ends fell together, and ligands of phosphorus that share a side
        (
            "C1CCCCC1",
            [[1.2, 0.7, 0], [0, 1.4, 0], [-1.2, 0.7, 0], [-0.4, -0.6, 0.3], [0.4, -0.6, 0], [1.2, -0.6, 0.5]],
            "bonds too short: C3-C4",
        ),
        (
            "F[P-](F)(F)(F)(F)F",
            np.array([[1.6, 0, 0], [0, 0, 0], [1.25, 1.0, 0], *octahedron(1.6)[3:]]),
            "atoms too close: F0-F2 1.06 A",
        ),
        (FERROCENE, ferrocene(height=0.3), "atoms too close"),
    ],
)
def test_distances_that_no_molecule_has_do_not(
    smiles: str, places: list[list[float]] | npt.NDArray[np.float64], reason: str
) -> None:
    places = np.asarray(places, float)[: Chem.MolFromSmiles(smiles).GetNumAtoms()]
    assert why_not(smiles, places).startswith(reason)


def test_large_molecules_are_looked_at_in_parts() -> None:
    """300 atoms of an extended chain; then bent back on itself."""
    chain = np.stack([1.27 * np.arange(300), 0.42 * (-1.0) ** np.arange(300), np.zeros(300)], 1)
    assert why_not("C" * 300, chain) == ""
    bent = chain.copy()
    bent[150:] = chain[150] + (chain[150:] - chain[150]) @ np.diag([-1.0, 1, 1]) + [0, 0, 1.2]
    told = why_not("C" * 300, bent)
    assert told.startswith("atoms too close: C")
    assert told.endswith(" 1.2 A")


@pytest.mark.parametrize("smiles", ["FS(F)(F)(F)(F)F", "F[P-](F)(F)(F)(F)F", "ClP(Cl)(Cl)(Cl)Cl"])
def test_hypervalent_centres_whose_ligands_coincide_are_2d_with_the_reason(smiles: str) -> None:
    record = made(smiles)
    assert record.coords is None
    reason = r"implausible conformer, (atoms too close|bonds too short): "  # by the version of RDKit
    assert re.match(reason, record.coords_from), record.coords_from


@pytest.mark.parametrize(
    "smiles",
    ["*CC*", "*CC(*)c1ccccc1", "[*]OC(=O)c1ccc(cc1)C([*])=O", "[1*]CC([2*])O", "c1cc*cc1", "*1cccc1",
     "C*(C)C", "*C(=O)N*", "*#C", "[*-]C", "*[Si](C)(C)O*", "[*]", "**", "C1C*1", "[*:1]c1ccc([*:2])cc1"],
)  # fmt: skip
def test_dummy_atoms_stand_a_bonds_length_from_their_neighbours(smiles: str) -> None:
    record = made(smiles)
    assert record.coords is not None, record.coords_from
    if len(record.bonds):
        assert shortest(record) > 1.0
        places = record.coords[0]
        assert max(np.linalg.norm(places[i] - places[j]) for i, j in record.bonds) < 2.1
    assert "*" in record.smiles
    assert 118 in record.atom_codes[:, 0]  # the codes still say: no element


@pytest.mark.parametrize("smiles", ["C[C@H](*)O", "C[C@@H](*)O", r"*/C=C\C", "*/C=C/C", "O[C@H]([1*])[2*]"])
def test_dummy_atoms_keep_the_stereo_around_them(smiles: str) -> None:
    record = made(smiles)
    mol = Chem.MolFromSmiles(smiles)
    flat = Chem.MolFromSmiles(smiles.replace("@", "").replace("/", "").replace("\\", ""))
    for index in range(mol.GetNumAtoms()):  # stereo from 3D asks for elements
        for each in (mol, flat):
            atom = each.GetAtomWithIdx(index)
            if atom.GetAtomicNum() == 0:
                atom.SetAtomicNum(17 if atom.GetIsotope() != 2 else 35)
                atom.SetIsotope(0)
    conformer = Chem.Conformer(flat.GetNumAtoms())
    for atom, place in enumerate(record.coords[0].astype(float).tolist()):
        conformer.SetAtomPosition(atom, place)
    flat.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(flat)
    assert Chem.MolToSmiles(flat) == Chem.MolToSmiles(mol)


@pytest.mark.parametrize(
    ("smiles", "places", "reason"),
    [
        ("CCO", np.array(ETHANOL) * BOHR, "source bonds too long (given in Bohr?)"),
        ("CCO", [*ETHANOL[:2], ETHANOL[1]], "source coordinates overlap"),
        ("[Na+].[Cl-]", [[0, 0, 0], [0.5, 0, 0.1]], "source atoms too close"),
    ],
)
def test_a_source_without_geometry_is_2d_or_made_anew_and_told_either_way(
    smiles: str, places: list[list[float]] | npt.NDArray[np.float64], reason: str
) -> None:
    record = given(smiles, places)
    assert record.coords is None
    assert record.coords_from.partition(":")[0] == f"{reason}, none wanted"
    record = given(smiles, places, WITH_3D)
    assert record.coords.shape == (1, len(places), 3)
    assert record.coords_from.partition(":")[0] == f"ETKDGv3+MMFF94, {reason}"


def test_a_source_with_geometry_is_kept() -> None:
    record = given("CCO", ETHANOL, WITH_3D)
    assert record.coords_from == "source"
    np.testing.assert_allclose(record.coords[0], ETHANOL, atol=1e-6)


@pytest.mark.parametrize("turn", [np.eye(3), np.eye(3)[[2, 0, 1]], np.eye(3)[[0, 2, 1]]])
def test_a_drawing_in_any_plane_is_2d_where_four_neighbours_are_flat(turn: npt.NDArray[np.float64]) -> None:
    cross = np.array([[-1.5, 0, 0], [0, 0, 0], [1.5, 0, 0], [0, 1.5, 0], [0, -1.5, 0]])
    assert given("CC(C)(C)C", cross @ turn).coords_from == "source is 2D, none wanted"


def test_good_conformers_of_a_list_are_kept() -> None:
    good = np.array(ETHANOL, np.float32)
    listed = ListedAtoms(("C", "C", "O"), np.stack([good, good * BOHR, good + 1]))
    record = convert(RawRow("a.lmdb", 0, "CCO", "smiles", listed=listed), WITH_3D)
    assert record.coords_from == "source, unfit ones left out: 2 of 3 kept"
    np.testing.assert_array_equal(record.coords, np.stack([good, good + 1]))


def test_good_conformers_of_several_are_kept_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of three conformers is spoilt before it is checked."""
    from moleblend_plugin.chem.geometry import conformers

    whole = conformers._coords

    def spoilt(*arguments: object) -> Any:
        coords = whole(*arguments)
        coords[1, 0] = coords[1, 2]
        return coords

    monkeypatch.setattr(conformers, "_coords", spoilt)
    record = made("CCCO", ConversionConfig(ConformerConfig(count=3)))
    assert record.coords.shape == (2, 4, 3)
    assert record.coords_from == "ETKDGv3+MMFF94, implausible ones left out: 2 of 3 kept"
