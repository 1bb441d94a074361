"""Random numbers as functions of the seed, as Uni-Core draws them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from moleblend_plugin.runs.devices import generators_kept


def seed_everything(seed: int) -> None:
    """Seed all global generators, before task and model are built."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  a plugin may read the global generator, as under Uni-Core
    torch.manual_seed(seed)


@contextmanager
def torch_seed(seed: int, *more: int) -> Iterator[None]:
    """Seed torch inside the block and restore its generators afterwards.

    Args:
        seed: the run's seed.
        more: what else the numbers depend on: update, batch within the update, process.
    """
    mixed = int(hash((seed, *more)) % 1e8) if more else seed  # hashes of ints are the same in every process
    with generators_kept():
        torch.manual_seed(mixed)
        yield
