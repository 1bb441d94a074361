"""Samples are the same whoever loads them, and follow their index."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from moleblend_plugin.data.batches.collate import Batch
from moleblend_plugin.data.batches.dataset import BlendedMolecules
from moleblend_plugin.data.samples.blend import BlendConfig
from tests.molecules import make_records

RECORDS = make_records([5, 8, 1, 12, 7, 7, 3, 9, 20, 4], conformers=3)


def molecules(scope: str = "molecule", epoch: int = 1) -> BlendedMolecules:
    dataset = BlendedMolecules(RECORDS, BlendConfig(blend_scope=scope), seed=5)
    dataset.set_epoch(epoch)
    return dataset


def flat(batches: list[Batch], name: str) -> dict[int, np.ndarray]:
    """Each molecule's array of one field, cut to its atoms, by index."""
    out = {}
    for batch in batches:
        array = (batch["net_input"] | batch["target"])[name].numpy()
        for row, index in enumerate(batch["index"].tolist()):
            n = RECORDS[index].n_atoms
            out[index] = array[row][(slice(n),) * (2 if name == "pair_shown" else 1)]
    return out


def load(batch_size: int, workers: int) -> list[Batch]:
    dataset = molecules()
    context = "fork" if workers else None
    return list(
        DataLoader(
            dataset,
            batch_size,
            num_workers=workers,
            collate_fn=dataset.collate,
            multiprocessing_context=context,
        )
    )


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (3, 0), (10, 0), (3, 4)])
def test_same_sample_for_any_batch_size_and_worker_count(batch_size: int, workers: int) -> None:
    expected, found = load(4, 0), load(batch_size, workers)
    for name in ("coords", "pair_shown", "atom_shown", "noise"):
        for index, array in flat(expected, name).items():
            np.testing.assert_array_equal(flat(found, name)[index], array)


def test_next_epoch_differs() -> None:
    first, second = (
        flat([d.collate([d[i] for i in range(10)])], "coords") for d in (molecules(), molecules(epoch=2))
    )
    assert all((first[i] != second[i]).any() for i in range(10))


def test_items_follow_the_index() -> None:
    dataset = molecules()
    for index in (3, 0, 9):
        sample = dataset[index]
        assert int(sample["index"]) == index
        np.testing.assert_array_equal(sample["atom_codes"], RECORDS[index].atom_codes + 1)


def test_every_conformer_comes_up() -> None:
    dataset = molecules()
    seen = set()
    for epoch in range(1, 30):
        dataset.set_epoch(epoch)
        clean = dataset[0]["clean_coords"]
        seen |= {c for c in range(3) if np.array_equal(clean, RECORDS[0].coords[c])}
    assert seen == {0, 1, 2}


def test_batch_scope_shares_one_mask() -> None:
    dataset = molecules("batch")
    shown = dataset.collate([dataset[i] for i in range(10)])["net_input"]["pair_shown"]
    largest = int(RECORDS.n_atoms.argmax())
    for row, record in enumerate(RECORDS):
        n = record.n_atoms
        torch.testing.assert_close(shown[row, :n, :n], shown[largest, :n, :n])
    per_molecule = molecules().collate([molecules()[i] for i in range(10)])["net_input"]["pair_shown"]
    assert (per_molecule[3, :12, :12] != per_molecule[largest, :12, :12]).any()
