"""Data sets in another process, as forkserver and spawn send them: the same items, batches and epoch."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from moleblend_plugin.data.batches.dataset import BlendedMolecules, StoredMolecules
from moleblend_plugin.data.batches.labelled import PropertyMolecules
from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.store.reader import MoleculeStore
from tests.molecules import make_record
from tests.viewed import viewed


def leaves(value: Tensor | dict[str, Tensor | dict[str, Tensor]]) -> dict[str, Tensor]:
    """Arrays of a nested batch, by path."""
    if isinstance(value, dict):
        return {f"{key}.{path}": leaf for key, item in value.items() for path, leaf in leaves(item).items()}
    return {"": value}


@pytest.fixture
def store(tmp_path: Path) -> MoleculeStore:
    from moleblend_plugin.data.store.reader import StoreWriter

    with StoreWriter(tmp_path / "train.lmdb", settings={}, sources={}, target_names=("y",)) as writer:
        for number in range(6):
            writer.add(make_record(3 + number, number, targets=[float(number)]))
    return MoleculeStore(tmp_path / "train.lmdb")


@pytest.mark.parametrize("kind", ["blended", "property", "viewed"])
def test_a_copy_gives_the_same_items(kind: str, store: MoleculeStore) -> None:
    made: dict[str, StoredMolecules] = {
        "blended": BlendedMolecules(store, BlendConfig(), 1, shuffle=True),
        "property": PropertyMolecules(store, [0], "both", 1, shuffle=True),
        "viewed": viewed([4, 6, 5], blank=[1], training=True),
    }
    data = made[kind]
    data.set_epoch(3)
    copy = pickle.loads(pickle.dumps(data))
    assert copy.epoch == 3
    assert copy.order(2).tolist() == data.order(2).tolist()
    mine, theirs = (leaves(one.collate([one[0], one[2], one[1]])) for one in (data, copy))
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(theirs[name], value, rtol=0, atol=0, equal_nan=True)
        else:
            np.testing.assert_array_equal(theirs[name], value)


def test_a_row_that_one_process_finds_damaged_is_known_to_all(store: MoleculeStore) -> None:
    """Left out once, counted once: the copy shares the list (torch's own pickling, as loaders use it)."""
    from multiprocessing.reduction import ForkingPickler

    data = BlendedMolecules(store, BlendConfig(), 1)
    copy = pickle.loads(ForkingPickler.dumps(data.damaged))
    copy._seen[2] = 1
    assert len(data.damaged) == 1
