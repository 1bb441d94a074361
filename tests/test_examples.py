"""What the examples bring along: the script that takes molecules, and a network that the package carries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.networks.registry import bundled_networks
from moleblend_plugin.tasks.load import load_encoder

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "examples" / "10_pretrain_qm9" / "take.py"

# Water, cyanide, methanal, cyanide: elements, charges, bonds with Kekule order.
WATER = ([8, 1, 1], [0, 0, 0], [(0, 1, 1), (0, 2, 1)])
CYANIDE = ([6, 7], [-1, 0], [(0, 1, 3)])
METHANAL = ([6, 8, 1, 1], [0, 0, 0, 0], [(0, 1, 2), (0, 2, 1), (0, 3, 1)])


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    """A geometry file whose coordinates number the atoms."""
    elements, charges, bonds = zip(WATER, CYANIDE, METHANAL, CYANIDE, strict=True)
    path = tmp_path / "in.npz"
    np.savez(
        path,
        gdb_index=[11, 12, 13, 14],
        n_atoms=[len(part) for part in elements],
        n_bonds=[len(part) for part in bonds],
        atomic_number=np.concatenate(elements),
        formal_charge=np.concatenate(charges),
        pos_angstrom=np.repeat(np.arange(11, dtype=np.float32)[:, None], 3, axis=1),
        bonds_i_j_order=np.concatenate(bonds),
    )
    return path


def take(npz: Path, count: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, npz, count, npz.with_name("out.npz")]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_molecules_are_spread_and_whole(npz: Path) -> None:
    assert take(npz, "2").stdout.startswith("2 of 4 molecules")
    with np.load(npz.with_name("out.npz"), allow_pickle=False) as out:
        assert out["gdb_index"].tolist() == [11, 13]
        assert out["n_atoms"].tolist() == [3, 4]
        assert out["atomic_number"].tolist() == WATER[0] + METHANAL[0]
        assert out["bonds_i_j_order"].tolist() == [list(bond) for bond in WATER[2] + METHANAL[2]]
        assert out["pos_angstrom"][:, 0].tolist() == [0, 1, 2, 5, 6, 7, 8]


def test_all_of_them_may_be_taken(npz: Path) -> None:
    assert take(npz, "4").returncode == 0
    with np.load(npz) as before, np.load(npz.with_name("out.npz")) as after:
        assert all(np.array_equal(before[name], after[name]) for name in before.files)


@pytest.mark.parametrize("count", ["0", "5"])
def test_an_impossible_count_is_refused(npz: Path, count: str) -> None:
    done = take(npz, count)
    assert done.returncode == 2
    assert f"holds 4 molecules, not {count}; give 1 to 4" in done.stderr
    assert not npz.with_name("out.npz").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    done = take(tmp_path / "no.npz", "1")
    assert done.returncode == 2
    assert "no.npz does not exist" in done.stderr


def test_the_network_of_the_tables_is_whole_and_the_one_described() -> None:
    network = bundled_networks()["moleblend-tiny-relations"]
    page = (ROOT / "examples" / "20_moleculenet" / "README.md").read_text(encoding="utf-8")
    assert network.sha256 in page
    encoder, _ = load_encoder(network.name)
    pretrained = MoleBlend(PRESETS["moleblend_tiny"])
    missing = set(dict(pretrained.named_parameters())) - set(
        read_checkpoint(network.path, ("model",))["model"]
    )
    assert missing == set()
    assert encoder.config == PRESETS["moleblend_tiny"]
