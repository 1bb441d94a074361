"""Batches of an epoch: cut once, shuffled, shared among processes, resumed without reading what was seen."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.contract.dataset import BaseDataset
from moleblend_plugin.trainer.loop.split_batch import NestedBatch
from moleblend_plugin.trainer.nodes.lost import lost_worker
from moleblend_plugin.trainer.trouble.signals import guard_worker, held_back

logger = logging.getLogger(__name__)

IndexBatch = Sequence[int]

MAX_PREFETCH = 32

_NONE_LEFT = -1
"""Number of the empty batch of a process that has one less than others."""


@contextmanager
def numpy_seed(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator inside the block, restore it afterwards."""
    state = np.random.get_state()  # noqa: NPY002  the contract's data sets may read the global generator
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _started(loader: DataLoader[Any]) -> Iterator[NestedBatch]:
    """Start the workers.

    Raises:
        MoleblendError: the data set cannot be sent to them.
    """
    try:
        return iter(loader)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        method = multiprocessing.get_start_method(allow_none=True)
        if not loader.num_workers or method == "fork" or "pickle" not in str(error):
            raise
        raise MoleblendError(
            f"the data set cannot be sent to a data worker ({error}), as the start method {method} of "
            "multiprocessing wants: give --num-workers 0"
        ) from error


class CollateOrEmpty:
    """Collate function for a loader whose batches may be empty (another process has one batch more)."""

    def __init__(self, collater: Callable[[list[Any]], NestedBatch]) -> None:
        self.collater = collater

    def __call__(self, samples: list[Any]) -> NestedBatch:
        """One batch of ``samples``, ``{}`` for none."""
        return self.collater(samples) if samples else {}


class _IndexLists:
    """Lists of indices for a loader, made one by one: of millions of items they would fill the memory."""

    def __init__(self, batches: Sequence[IndexBatch], numbers: npt.NDArray[np.int64]) -> None:
        self._batches = batches
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[list[int]]:
        for number in self._numbers.tolist():
            yield [] if number == _NONE_LEFT else np.asarray(self._batches[number]).tolist()


class EpochBatches:
    """Batches of a data set, epoch by epoch.

    Batches are cut once; each epoch shuffles their order with NumPy seeded by ``seed + epoch`` and gives
    batch ``rank, rank + world, ...`` to this process, as Uni-Core does. Where they do not come out even, the
    last batch of some processes is empty (``{}``), so that all processes make the same number of steps.

    Args:
        dataset: the data.
        batches: indices of each batch.
        seed: seed of the order.
        num_shards: number of processes.
        shard_id: rank of this process.
        num_workers: worker processes that read items; the items do not depend on it.
        epoch: first epoch, from 1.
        buffer_size: batches to keep ready, over all workers.
        disable_shuffling: keep the order of ``batches``.
    """

    def __init__(
        self,
        dataset: BaseDataset,
        batches: Sequence[IndexBatch],
        *,
        seed: int = 1,
        num_shards: int = 1,
        shard_id: int = 0,
        num_workers: int = 0,
        epoch: int = 1,
        buffer_size: int = 0,
        disable_shuffling: bool = False,
    ) -> None:
        self.dataset = dataset
        self.batches = batches
        self.seed = seed
        self.num_shards = num_shards
        self.shard_id = shard_id
        self.num_workers = num_workers
        self.buffer_size = min(buffer_size, MAX_PREFETCH)
        self.disable_shuffling = disable_shuffling
        self.epoch = max(epoch, 1)
        self.position = 0
        self.shuffle = not disable_shuffling
        self._resumed = False
        self._stand_in: NestedBatch | None = None

    def __len__(self) -> int:
        """Batches per epoch in this process."""
        return -(-len(self.batches) // self.num_shards)

    @property
    def next_epoch(self) -> int:
        """The epoch that the next call of :meth:`iterate` runs through."""
        return self.epoch + 1 if self.end_of_epoch() else self.epoch

    def end_of_epoch(self) -> bool:
        """Whether every batch of the current epoch was handed out."""
        return len(self) > 0 and self.position >= len(self)

    def order(self, epoch: int, shuffle: bool) -> npt.NDArray[np.int64]:
        """Numbers of this process's batches of an epoch, in order; -1 for an empty one."""
        numbers = np.arange(len(self.batches))
        if shuffle and not self.disable_shuffling:
            with numpy_seed(self.seed + epoch):
                np.random.shuffle(numbers)  # noqa: NPY002  the order that Uni-Core draws
        mine = numbers[self.shard_id :: self.num_shards]
        return np.concatenate([mine, np.full(len(self) - len(mine), _NONE_LEFT)])

    def iterate(self, shuffle: bool = True, set_dataset_epoch: bool = True) -> Iterator[NestedBatch]:
        """Batches of the next epoch, or the rest of the epoch that a checkpoint interrupted.

        Args:
            shuffle: shuffle the batches (not in the rest of an interrupted epoch, which keeps its order).
            set_dataset_epoch: tell the data set the epoch (validation data stay in epoch 1).
        """
        if not self._resumed:
            self.epoch, self.position = self.next_epoch, 0
            self.shuffle = shuffle and not self.disable_shuffling
        self._resumed = False
        if set_dataset_epoch:
            self.dataset.set_epoch(self.epoch)
        order = self.order(self.epoch, self.shuffle)[self.position :]
        batches = _IndexLists(self.batches, order)
        if self.dataset.supports_prefetch:
            self.dataset.prefetch([index for batch in batches for index in batch])
        return self._count(self._loader(batches))

    def _count(self, loader: DataLoader[Any]) -> Iterator[NestedBatch]:
        others = set(multiprocessing.active_children())
        with held_back():
            loaded = _started(loader)  # a lost worker is noticed where its batch is awaited
        workers = set(multiprocessing.active_children()) - others
        while True:
            try:
                batch = next(loaded)
            except StopIteration:
                return
            except MoleblendError as error:  # a worker's comes with its traceback as text
                raise MoleblendError(str(error).rpartition("MoleblendError: ")[2].strip()) from error
            except (ConnectionError, EOFError) as error:  # it was handing over a batch
                raise lost_worker(workers) from error
            except RuntimeError as error:
                if "DataLoader worker (pid" not in str(error):
                    raise
                raise lost_worker(workers) from error
            self.position += 1
            yield batch

    def _loader(self, batches: _IndexLists) -> DataLoader[Any]:
        # Workers live for one epoch: they copy the data set after set_epoch, so they know the epoch.
        # The loader's own generator leaves torch's global one, and with it the run's numbers, alone.
        # Pinned batches are copied to a GPU while it computes.
        return DataLoader(
            self.dataset,
            batch_sampler=batches,
            collate_fn=CollateOrEmpty(self.dataset.collater),
            num_workers=self.num_workers,
            prefetch_factor=max(2, self.buffer_size // self.num_workers) if self.num_workers else None,
            pin_memory=torch.cuda.is_initialized(),  # type: ignore[no-untyped-call]
            generator=torch.Generator().manual_seed(self.seed),
            worker_init_fn=partial(guard_worker, trainer=os.getpid(), by_server=self._by_server()),
        )

    def _by_server(self) -> bool:
        """Whether workers are forked by a server (Python 3.14's way on Linux), which then has torch ready."""
        if not self.num_workers or multiprocessing.get_start_method() != "forkserver":
            return False
        multiprocessing.set_forkserver_preload(
            ["__main__", "torch.utils.data", type(self.dataset).__module__]
        )
        return True

    def any_batch(self) -> NestedBatch:
        """A batch to compute on where this process has none left but others have."""
        if self._stand_in is None:
            batches = (
                self.dataset.collater([self.dataset[int(index)] for index in batch]) for batch in self.batches
            )
            self._stand_in = next(filter(None, batches))  # a batch of damaged rows is empty too
        return self._stand_in

    def state_dict(self) -> dict[str, Any]:
        """Position in the data: the next epoch's start once an epoch is through."""
        at_end = self.end_of_epoch()
        return {
            "epoch": self.epoch + 1 if at_end else self.epoch,
            "iterations_in_epoch": 0 if at_end else self.position,
            "shuffle": self.shuffle,
            "len": len(self),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a checkpoint's position; it is rescaled where the number of batches has changed."""
        self.epoch = int(state["epoch"])
        position = int(state.get("iterations_in_epoch", 0))
        if position and state.get("len", len(self)) != len(self):
            rescaled = int(position * len(self) / state["len"])
            logger.info(
                f"the number of batches per epoch changed from {state['len']} to {len(self)} "
                f"(batch size, processes or data): continuing at batch {rescaled} instead of {position}"
            )
            position = rescaled
        self.position = position
        self.shuffle = bool(state.get("shuffle", True)) and not self.disable_shuffling
        self._resumed = position > 0
