"""Randomness as an argument: one independent generator per (seed, epoch, index, purpose)."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a generator is for; another purpose never changes the draws of this one."""

    CONFORMER = 0
    PAIRS = 1
    ATOMS = 2
    NOISE = 3
    ORDER = 4


def generator(seed: int, epoch: int, index: int, purpose: Purpose) -> np.random.Generator:
    """A counter-based generator keyed by its arguments: equal for any worker, rank or batch size.

    Args:
        seed: 0 <= seed < 2**32, the run's ``--seed``.
        epoch: 0 <= epoch < 2**32.
        index: 0 <= index < 2**56, the item's position in its store.
        purpose: what is drawn.
    """
    key = np.array([seed << 32 | epoch, index << 8 | purpose], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
