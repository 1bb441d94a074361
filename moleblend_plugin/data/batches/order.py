"""The batches of an epoch: shuffled, yet of molecules of like size, so that little padding is computed.

Order and batches depend on the sizes, the seed and the epoch alone, so they are the same for any number of
processes; the trainer then shuffles whole batches and deals them out.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Protocol, overload

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.batches.drawn_order import DrawnOrder
from moleblend_plugin.data.rng import Purpose, generator

Indices = npt.NDArray[np.integer]


class Order(Protocol):
    """Indices in an order, read by slices: an array, or a :class:`DrawnOrder`."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, part: slice, /) -> Indices:
        """Those of consecutive places."""


WINDOW_BATCHES = 32
"""How many batches are sorted by size together: enough to cut padding, few enough to keep batches mixed.

A small set has at least four windows, so that its batches differ from epoch to epoch.
"""


HELD = 2**26
"""Items of a shuffled order that is held in memory, 4 bytes each; a longer one is drawn where it is read."""


class CutBatches(Sequence[Indices]):
    """Batches as consecutive parts of an order, which are taken out of it one by one.

    Args:
        order: indices of items.
        starts: place of the first item of every batch, and the end.
    """

    def __init__(self, order: Order, starts: npt.NDArray[np.int64]) -> None:
        self._order = order
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, number: int) -> Indices: ...
    @overload
    def __getitem__(self, number: slice) -> list[Indices]: ...
    def __getitem__(self, number: int | slice) -> Indices | list[Indices]:
        """Indices of a batch.

        Raises:
            IndexError: there are fewer batches.
        """
        if isinstance(number, slice):
            return [self[place] for place in range(len(self))[number]]
        place = range(len(self))[number]
        return self._order[int(self._starts[place]) : int(self._starts[place + 1])]


def mixed_order(count: int, seed: int, epoch: int) -> Order:
    """A permutation of (seed, epoch): molecules of all sizes in a batch, where batches stand for the whole.

    Batch statistics and negatives of molecules of one size would say little about those of others.
    """
    if count > HELD:
        return DrawnOrder(count, seed, epoch, window=2**16, n_atoms=None)
    return _permutation(count, seed, epoch)


def _permutation(count: int, seed: int, epoch: int) -> npt.NDArray[np.uint32]:
    order = np.arange(count, dtype=np.uint32)
    generator(seed, epoch, 0, Purpose.ORDER).shuffle(order)
    return order


def epoch_order(n_atoms: Indices, batch_size: int, seed: int, epoch: int, shuffle: bool) -> Order:
    """Order of indices for consecutive batches of ``batch_size``.

    Training: a permutation of (seed, epoch), cut into windows of ``WINDOW_BATCHES`` batches, each window
    sorted by number of atoms. The trainer then shuffles whole batches, so sizes do not come in waves.
    Evaluation: sorted by number of atoms, ties by index.

    Args:
        n_atoms: heavy atoms of every molecule.
        batch_size: molecules per batch.
        seed: the run's seed.
        epoch: epoch number.
        shuffle: training (True) or evaluation (False).
    """
    if not shuffle:
        return np.argsort(n_atoms, kind="stable")
    batches = -(-len(n_atoms) // batch_size)
    window = min(WINDOW_BATCHES, max(1, batches // 4)) * batch_size
    if len(n_atoms) > HELD:
        return DrawnOrder(len(n_atoms), seed, epoch, window, n_atoms)
    order = _permutation(len(n_atoms), seed, epoch)
    for start in range(0, len(order), window):
        part = order[start : start + window]
        order[start : start + window] = part[np.argsort(n_atoms[part], kind="stable")]
    return order


def cut_batches(
    order: Order,
    n_atoms: Indices,
    batch_size: int,
    max_atoms: int | None = None,
    multiple: int = 1,
) -> CutBatches:
    """Cut ``order`` into consecutive batches, each as long as both limits let it be.

    Args:
        order: indices of items.
        n_atoms: heavy atoms of every item.
        batch_size: most molecules of a batch; rounded up to a multiple of ``multiple``.
        max_atoms: most atoms of a batch, padding included: molecules x atoms of the largest one. A molecule
            that is larger by itself is a batch of its own. ``None`` sets no limit.
        multiple: batches that atoms limit are cut down to a multiple of this, if they are that long.
    """
    limit = -(-batch_size // multiple) * multiple
    if max_atoms is None:
        return CutBatches(order, np.append(np.arange(0, len(order), limit), len(order)))
    counts = np.arange(1, limit + 1)
    starts = array("q", [0])
    while (start := starts[-1]) < len(order):
        sizes = n_atoms[order[start : start + limit]].astype(np.int64)
        taken = len(sizes)
        fitting = int(np.searchsorted(np.maximum.accumulate(sizes) * counts[:taken], max_atoms, side="right"))
        if fitting < taken:
            taken = fitting // multiple * multiple or max(fitting, 1)
        starts.append(start + taken)
    return CutBatches(order, np.array(starts, np.int64))


def padding_share(n_atoms: Indices, batches: Iterable[Indices]) -> float:
    """Computed pairs over useful pairs of these batches, N^2 per molecule: 1 means no padding."""
    computed = useful = 0
    for batch in batches:
        sizes = n_atoms[batch].astype(np.int64)
        computed += len(sizes) * int(sizes.max()) ** 2
        useful += int((sizes**2).sum())
    return computed / useful
