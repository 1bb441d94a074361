"""Molecules for tests, made without RDKit: random connected graphs with random codes and coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moleblend_plugin.schema import MoleculeRecord
from moleblend_plugin.vocab import ATOM_SIZES, CHIRALITY


def make_record(
    n_atoms: int,
    seed: int = 0,
    *,
    conformers: int = 1,
    fragments: int = 1,
    rings: int = 1,
    targets: Sequence[float] = (),
) -> MoleculeRecord:
    """A molecule of ``fragments`` random trees with ``rings`` extra bonds; ``conformers=0`` means no 3D."""
    rng = np.random.default_rng([seed, n_atoms])
    starts = set(np.linspace(0, n_atoms, fragments, endpoint=False).astype(int).tolist())
    bonds, start = [], 0
    for atom in range(n_atoms):
        if atom in starts:
            start = atom
        else:
            bonds.append((int(rng.integers(start, atom)), atom))
    for _ in range(rings if fragments == 1 and n_atoms > 2 else 0):
        i, j = sorted(rng.choice(n_atoms, 2, replace=False).tolist())
        if (i, j) not in bonds:
            bonds.append((i, j))
    codes = np.stack([rng.integers(0, size, n_atoms) for size in ATOM_SIZES], 1)
    bond_codes = np.stack([rng.integers(0, size, len(bonds)) for size in (4, 3, 2)], 1)
    coords = rng.normal(0, 2, (conformers, n_atoms, 3)).astype(np.float32) if conformers else None
    return MoleculeRecord(
        source="made",
        row=seed,
        smiles=f"made-{seed}",
        atom_codes=codes.astype(np.uint8),
        bonds=np.array(bonds, np.uint16).reshape(-1, 2),
        bond_codes=bond_codes.astype(np.uint8).reshape(-1, 3),
        coords=coords,
        coords_from="source" if conformers else "made without 3D",
        targets=np.array(targets, np.float64),
        ogb_chirality=codes[::-1, CHIRALITY].astype(np.uint8),
    )


class RecordList(list[MoleculeRecord]):
    """Records in memory, read like a store."""

    @property
    def n_atoms(self) -> np.ndarray:
        return np.array([record.n_atoms for record in self], np.uint16)


def make_records(sizes: Sequence[int], **options: int) -> RecordList:
    """One molecule per size."""
    return RecordList(make_record(size, seed, **options) for seed, size in enumerate(sizes))
