"""Randomness as an argument: one independent generator per (seed, epoch, index, purpose)."""

from __future__ import annotations

import threading
from enum import IntEnum
from typing import Any, Final

import numpy as np

_ZEROS: Final = (0, 0, 0, 0)


class Purpose(IntEnum):
    """What a generator is for; another purpose never changes the draws of this one."""

    CONFORMER = 0
    PAIRS = 1
    ATOMS = 2
    NOISE = 3
    ORDER = 4
    VIEWS = 5
    IMAGE = 6
    WHOLE = 7


def generator(seed: int, epoch: int, index: int, purpose: Purpose) -> np.random.Generator:
    """A counter-based generator keyed by its arguments: equal for any worker, rank or batch size.

    Args:
        seed: 0 <= seed < 2**32, the run's ``--seed``.
        epoch: 0 <= epoch < 2**32.
        index: 0 <= index < 2**56, the item's position in its store.
        purpose: what is drawn.
    """
    return np.random.Generator(np.random.Philox(key=np.array(_key(seed, epoch, index, purpose), np.uint64)))


class _Shared(threading.local):
    """One generator per thread."""

    def __init__(self) -> None:
        self.bits: Any = np.random.Philox(key=0)  # its stub knows no tuples in the state
        self.generator = np.random.Generator(self.bits)


_SHARED: Final = _Shared()


def passing_generator(seed: int, epoch: int, index: int, purpose: Purpose) -> np.random.Generator:
    """The draws of :func:`generator` at a tenth of its cost: take them before the next call in this thread.

    Making a generator takes longer than drawing a molecule's numbers (NumPy asks the system for a seed
    that a given key makes useless), so one is set to the start of each stream in turn.
    """
    _SHARED.bits.state = {
        "bit_generator": "Philox",
        "state": {"counter": _ZEROS, "key": _key(seed, epoch, index, purpose)},
        "buffer": _ZEROS,
        "buffer_pos": 4,  # its end: nothing is left over
        "has_uint32": 0,
        "uinteger": 0,
    }
    return _SHARED.generator


def _key(seed: int, epoch: int, index: int, purpose: Purpose) -> tuple[int, int]:
    return seed << 32 | epoch, index << 8 | purpose
