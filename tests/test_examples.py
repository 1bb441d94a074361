"""The converter of examples/10_pretrain_qm9: every fact of the arrays arrives in RDKit's molecules."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "10_pretrain_qm9" / "npz_to_sdf.py"

WATER = ([8, 1, 1], [0, 0, 0], [(0, 1, 1), (0, 2, 1)])
CYANIDE = ([6, 7], [-1, 0], [(0, 1, 3)])
FORMALDEHYDE = ([6, 8, 1, 1], [0, 0, 0, 0], [(0, 1, 2), (0, 2, 1), (0, 3, 1)])


def write_npz(
    path: Path, molecules: list[tuple[list[int], list[int], list[tuple[int, int, int]]]]
) -> np.ndarray:
    """The layout of the QM9 geometry file, gdb_index from 11; returns the coordinates of all atoms."""
    elements, charges, bonds = zip(*molecules, strict=True)
    coords = np.random.default_rng(1).uniform(-4, 4, (sum(map(len, elements)), 3)).round(4).astype(np.float32)
    np.savez(
        path,
        gdb_index=np.arange(len(molecules)) + 11,
        n_atoms=[len(part) for part in elements],
        n_bonds=[len(part) for part in bonds],
        atomic_number=np.concatenate(elements),
        formal_charge=np.concatenate(charges),
        pos_angstrom=coords,
        bonds_i_j_order=np.concatenate(bonds),
    )
    return coords


def convert(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)


def test_elements_bonds_charges_and_coordinates_arrive(tmp_path):
    coords = write_npz(tmp_path / "in.npz", [WATER, CYANIDE, FORMALDEHYDE])
    done = convert(tmp_path / "in.npz", tmp_path / "out.sdf")
    assert done.returncode == 0, done.stderr
    molecules = list(Chem.SDMolSupplier(str(tmp_path / "out.sdf"), removeHs=False))
    assert [Chem.MolToSmiles(Chem.RemoveHs(m)) for m in molecules] == ["O", "[C-]#N", "C=O"]
    assert [m.GetProp("_Name") for m in molecules] == ["gdb 11", "gdb 12", "gdb 13"]
    assert all(m.GetConformer().Is3D() for m in molecules)
    read = np.concatenate([m.GetConformer().GetPositions() for m in molecules])
    np.testing.assert_allclose(read, coords, atol=1e-4)


def test_a_count_is_spread_over_the_file(tmp_path):
    write_npz(tmp_path / "in.npz", [WATER, CYANIDE, FORMALDEHYDE, CYANIDE])
    assert convert(tmp_path / "in.npz", tmp_path / "out.sdf", "--count", "2").stdout.startswith("2 molecules")
    names = [m.GetProp("_Name") for m in Chem.SDMolSupplier(str(tmp_path / "out.sdf"))]
    assert names == ["gdb 11", "gdb 13"]


@pytest.mark.parametrize(("count", "message"), [("0", "--count 0"), ("5", "--count 5")])
def test_an_impossible_count_is_refused(tmp_path, count, message):
    write_npz(tmp_path / "in.npz", [WATER])
    done = convert(tmp_path / "in.npz", tmp_path / "out.sdf", "--count", count)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_missing_file_is_named(tmp_path):
    done = convert(tmp_path / "no.npz", tmp_path / "out.sdf")
    assert done.returncode == 2
    assert "no.npz does not exist" in done.stderr
