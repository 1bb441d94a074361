"""Order, sharing and resuming of batches."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.contract.dataset import BaseDataset
from moleblend_plugin.trainer.loop.batches import EpochBatches


class Numbers(BaseDataset):
    def __init__(self, count: Any) -> None:
        super().__init__()
        self.count, self.epoch, self.read = count, 1, []

    def __len__(self) -> Any:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        self.read.append(index)
        return index

    def set_epoch(self, epoch: Any) -> None:
        self.epoch = epoch

    def collater(self, samples: Any) -> Any:
        return {"index": torch.tensor(samples), "epoch": self.epoch} if samples else {}


def batches(count: int = 10, size: int = 2, **options: int) -> EpochBatches:
    dataset = Numbers(count)
    return EpochBatches(dataset, dataset.batch_by_size(dataset.ordered_indices(), size), **options)


def listed(iterator: Iterator[Any]) -> list[list[int]]:
    return [batch["index"].tolist() if batch else [] for batch in iterator]


def test_batches_are_cut_in_order_and_rounded_up_to_the_multiple() -> None:
    dataset = Numbers(10)
    order = np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert [list(part) for part in dataset.batch_by_size(order, 4)] == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]
    assert [len(part) for part in dataset.batch_by_size(order, 3, required_batch_size_multiple=4)] == [
        4,
        4,
        2,
    ]
    assert [len(part) for part in dataset.batch_by_size(order)] == [1] * 10


def test_order_is_numpys_shuffle_with_seed_plus_epoch() -> None:
    iterator = batches(seed=5)
    expected = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    np.random.RandomState(5 + 1).shuffle(expected)
    assert listed(iterator.iterate()) == expected
    second = listed(iterator.iterate())
    assert second != expected
    assert sorted(sum(second, [])) == list(range(10))
    assert iterator.epoch == iterator.dataset.epoch == 2


def test_global_generators_are_left_alone() -> None:
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    expected = np.random.RandomState(3).rand(), torch.rand(1, generator=torch.Generator().manual_seed(3))
    listed(batches(num_workers=1).iterate())
    assert (np.random.rand(), torch.rand(1)) == expected  # noqa: NPY002


def test_unshuffled_when_asked() -> None:
    assert listed(batches().iterate(shuffle=False))[0] == [0, 1]
    assert listed(batches(disable_shuffling=True).iterate())[0] == [0, 1]


def test_processes_share_all_batches_and_make_the_same_number_of_steps() -> None:
    whole = listed(batches(seed=2).iterate())
    first = listed(batches(seed=2, num_shards=2, shard_id=0).iterate())
    second = listed(batches(seed=2, num_shards=2, shard_id=1).iterate())
    assert first == whole[0::2]
    assert second == [*whole[1::2], []]


@pytest.mark.parametrize("workers", [0, 2])
def test_items_do_not_depend_on_workers(workers: int) -> None:
    iterator = batches(seed=4, num_workers=workers)
    listed(iterator.iterate())
    second = list(iterator.iterate())
    assert [batch["epoch"] for batch in second] == [2] * 5
    assert [batch["index"].tolist() for batch in second] == listed(_second_epoch())


def _second_epoch() -> Iterator[Any]:
    iterator = batches(seed=4)
    listed(iterator.iterate())
    return iterator.iterate()


def test_resuming_skips_without_reading() -> None:
    straight = batches(seed=7)
    expected = listed(straight.iterate())
    interrupted = batches(seed=7)
    running = interrupted.iterate()
    next(running), next(running)
    state = interrupted.state_dict()
    assert state == {"epoch": 1, "iterations_in_epoch": 2, "shuffle": True, "len": 5}
    resumed = batches(seed=7)
    resumed.load_state_dict(state)
    assert resumed.next_epoch == 1
    assert listed(resumed.iterate()) == expected[2:]
    assert len(resumed.dataset.read) == 6
    assert listed(resumed.iterate()) == listed(straight.iterate())


def test_state_at_the_end_is_the_next_epochs_start() -> None:
    iterator = batches()
    list(iterator.iterate())
    assert iterator.end_of_epoch()
    state = iterator.state_dict()
    assert (state["epoch"], state["iterations_in_epoch"]) == (2, 0)
    resumed = batches()
    resumed.load_state_dict(state)
    assert resumed.next_epoch == 2
    assert listed(resumed.iterate()) == listed(iterator.iterate())
    assert resumed.dataset.epoch == 2


def test_position_is_rescaled_when_the_number_of_batches_changed() -> None:
    resumed = batches(size=1)
    resumed.load_state_dict({"epoch": 1, "iterations_in_epoch": 2, "shuffle": False, "len": 5})
    assert listed(resumed.iterate()) == [[index] for index in range(4, 10)]


def test_stand_in_is_the_first_batch() -> None:
    assert batches(num_shards=2, shard_id=1).any_batch()["index"].tolist() == [0, 1]


def test_no_batches_is_no_epoch_at_its_end() -> None:
    assert not batches(count=0).end_of_epoch()


def test_a_lost_worker_is_noticed_where_its_batch_is_awaited() -> None:
    """Not by an exception that a signal handler raises anywhere."""

    class Fatal(Numbers):
        def __getitem__(self, index: Any) -> Any:
            if index == 7:
                os.kill(os.getpid(), signal.SIGKILL)
            return index

    before = signal.getsignal(signal.SIGCHLD)
    dataset = Fatal(10)
    cut = dataset.batch_by_size(dataset.ordered_indices(), 1)
    running = EpochBatches(dataset, cut, num_workers=1, disable_shuffling=True).iterate()
    first = [next(running)["index"].item()]
    with pytest.raises((RuntimeError, MoleblendError), match="worker"):
        first += [batch["index"].item() for batch in running]
    assert first == list(range(len(first)))
    assert signal.getsignal(signal.SIGCHLD) is before


def test_a_mistake_in_a_data_worker_is_one_line() -> None:
    class Damaged(Numbers):
        def __getitem__(self, index: Any) -> None:
            raise MoleblendError(f"row {int(index)} is damaged: build the store again")

    with pytest.raises(MoleblendError) as raised:
        list(EpochBatches(Damaged(4), [[3]], num_workers=1).iterate())
    assert str(raised.value) == "row 3 is damaged: build the store again"
