"""``--max-atoms-per-batch``: both tasks cut batches by padded atoms, the same for any number of processes."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.tasks.base import StoreTask
from moleblend_plugin.tasks.pretrain.task import MoleblendPretrainTask
from moleblend_plugin.tasks.property.task import MoleblendPropertyTask
from tests.labelled import options, regression_tables, write_labelled
from tests.tasks.test_pretrain import SIZES, arguments, write_stores


def pretraining(folder: Path, **more: object) -> StoreTask:
    return MoleblendPretrainTask.setup_task(arguments(write_stores(folder, SIZES), **more))


def fine_tuning(folder: Path, **more: object) -> StoreTask:
    write_labelled(folder, regression_tables(), conformers=2)
    return MoleblendPropertyTask.setup_task(options(folder, "moleblend_regression", **more))


@pytest.mark.parametrize("make", [pretraining, fine_tuning])
@pytest.mark.parametrize("split", ["train", "valid"])
def test_batches_keep_within_the_budget(tmp_path: Path, make: object, split: str) -> None:
    task = make(tmp_path, max_atoms_per_batch=24)  # type: ignore[operator]
    task.load_dataset(split)
    dataset = task.dataset(split)
    batches = dataset.batch_by_size(dataset.ordered_indices(), batch_size=5)
    np.testing.assert_array_equal(np.concatenate(batches), dataset.ordered_indices())
    shapes = [dataset.collater([dataset[i] for i in b])["net_input"]["spd"].shape[:2] for b in batches]
    assert all(count * atoms <= 24 for count, atoms in shapes)
    assert {count for count, _ in shapes} & {2, 3, 4, 5}, "batches of one would keep any budget"


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_an_epoch_has_the_same_batches_for_any_number_of_processes(tmp_path: Path, shards: int) -> None:
    task = pretraining(tmp_path, max_atoms_per_batch=24)
    task.load_dataset("train")

    def batches(count: int, rank: int) -> list[list[int]]:
        iterator = task.get_batch_iterator(
            task.dataset("train"), batch_size=3, num_shards=count, shard_id=rank, epoch=2
        )
        return [batch["index"].tolist() for batch in iterator.iterate() if batch]

    together = sorted(batch for rank in range(shards) for batch in batches(shards, rank))
    assert together == sorted(batches(1, 0))


def test_it_is_a_flag_and_absent_by_default() -> None:
    parser = argparse.ArgumentParser()
    StoreTask.add_args(parser)
    assert parser.parse_args(["here"]).max_atoms_per_batch is None
    assert parser.parse_args(["here", "--max-atoms-per-batch", "4096"]).max_atoms_per_batch == 4096


def test_a_budget_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="--max-atoms-per-batch 0: give 1 or more"):
        pretraining(tmp_path, max_atoms_per_batch=0)
