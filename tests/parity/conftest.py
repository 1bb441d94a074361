"""The golden folder: ``../shared/golden`` or the one that ``MOLEBLEND_GOLDEN`` names."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moleblend_plugin.data.batches.collate import Batch, collate
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.models.blend.published_weights import Imported, from_published
from moleblend_plugin.schema import MoleculeRecord, Shown

PAIR_BITS = np.array([Shown.SPD, Shown.EDGE, Shown.DISTANCE], np.uint8)
ATOM_BITS = np.array([Shown.SPD, Shown.DISTANCE], np.uint8)


@dataclass(frozen=True)
class Golden:
    """One golden folder, read. ``moved`` are real atoms off the origin.

    The published code takes an atom at the origin for padding (method 6.3): it gets no noise, and no
    target there counts. The inputs below repeat that; ours has no such rule.
    """

    expected: dict[str, Any]
    arrays: dict[str, np.ndarray]
    outputs: dict[str, Tensor]
    finetune: dict[str, Tensor]
    imported: Imported
    records: list[MoleculeRecord]
    batch: Batch
    moved: Tensor

    @property
    def net_input(self) -> dict[str, Tensor]:
        return self.batch["net_input"]

    @property
    def real(self) -> Tensor:
        return self.net_input["atom_codes"][..., 0] > 0

    @property
    def pairs(self) -> Tensor:
        return self.real[:, :, None] & self.real[:, None, :]

    @property
    def tokens(self) -> Tensor:
        return torch.nn.functional.pad(self.real, (1, 0), value=True)

    def model(self) -> MoleBlend:
        """The published network with its golden weights and every dropout at 0."""
        config = replace(self.imported.config, attention_dropout=0.0, activation_dropout=0.0, drop_path=0.0)
        model = MoleBlend(config)
        model.load_state_dict(self.imported.state)
        return model


def load_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def read_records(arrays: dict[str, np.ndarray]) -> list[MoleculeRecord]:
    atoms = np.cumsum(arrays["n_atoms"])[:-1]
    edges = np.cumsum(arrays["n_edges"])[:-1]
    parts = zip(
        np.split(arrays["x"], atoms),
        np.split(arrays["pos"], atoms),
        np.split(arrays["edge_index"].T, edges),
        np.split(arrays["edge_attr"], edges),
        arrays["smiles"],
        strict=True,
    )
    records = []
    for row, (x, pos, edge_index, edge_attr, smiles) in enumerate(parts):
        once = edge_index[:, 0] < edge_index[:, 1]
        records.append(
            MoleculeRecord(
                source="golden",
                row=row,
                smiles=str(smiles),
                atom_codes=x.astype(np.uint8),
                bonds=edge_index[once].astype(np.uint16),
                bond_codes=edge_attr[once].astype(np.uint8),
                coords=pos[None].astype(np.float32),
                coords_from="source",
            )
        )
    return records


def read_batch(arrays: dict[str, np.ndarray], records: list[MoleculeRecord]) -> tuple[Batch, Tensor]:
    samples, moved = [], torch.zeros(arrays["atom_choice"].shape, dtype=torch.bool)
    for index, record in enumerate(records):
        features, n = featurize(record), record.n_atoms
        off_origin = (features.coords != 0).any(1)
        noise = arrays["noise"][index, :n] * off_origin[:, None]
        moved[index, :n] = torch.from_numpy(off_origin)
        samples.append(
            {
                "atom_codes": features.atom_codes,
                "degree": features.degree,
                "spd": features.spd,
                "bond_path": features.bond_path,
                "coords": features.coords + noise,
                "pair_shown": PAIR_BITS[arrays["pair_choice"][:n, :n]],
                "atom_shown": ATOM_BITS[arrays["atom_choice"][index, :n]],
                "clean_coords": features.coords,
                "noise": noise,
                "has_coords": np.array(True),
                "index": np.array(index),
            }
        )
    return collate(samples), moved


@pytest.fixture(scope="session")
def golden() -> Golden:
    default = Path(__file__).resolve().parents[3] / "shared" / "golden"
    folder = Path(os.environ.get("MOLEBLEND_GOLDEN") or default)
    if not (folder / "expected.json").exists():
        pytest.skip(f"no golden files in {folder}; name their folder with MOLEBLEND_GOLDEN")
    arrays = load_npz(folder / "molecules.npz")
    weights = {name: torch.from_numpy(array) for name, array in load_npz(folder / "weights.npz").items()}
    records = read_records(arrays)
    batch, moved = read_batch(arrays, records)
    return Golden(
        expected=json.loads((folder / "expected.json").read_text()),
        arrays=arrays,
        outputs={k: torch.from_numpy(v) for k, v in load_npz(folder / "outputs.npz").items()},
        finetune={k: torch.from_numpy(v) for k, v in load_npz(folder / "finetune.npz").items()},
        imported=from_published(weights),
        records=records,
        batch=batch,
        moved=moved,
    )
