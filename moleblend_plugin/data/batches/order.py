"""The batches of an epoch: shuffled, yet of molecules of like size, so that little padding is computed.

Order and batches depend on the sizes, the seed and the epoch alone, so they are the same for any number of
processes; the trainer then shuffles whole batches and deals them out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.rng import Purpose, generator

WINDOW_BATCHES = 32
"""How many batches are sorted by size together: enough to cut padding, few enough to keep batches mixed.

A small set has at least four windows, so that its batches differ from epoch to epoch.
"""


def mixed_order(count: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """A permutation of (seed, epoch): molecules of all sizes in a batch, where batches stand for the whole.

    Batch statistics and negatives of molecules of one size would say little about those of others.
    """
    return generator(seed, epoch, 0, Purpose.ORDER).permutation(count).astype(np.int64)


def epoch_order(
    n_atoms: npt.NDArray[np.integer], batch_size: int, seed: int, epoch: int, shuffle: bool
) -> npt.NDArray[np.int64]:
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
        return np.argsort(n_atoms, kind="stable").astype(np.int64)
    order = mixed_order(len(n_atoms), seed, epoch)
    batches = -(-len(order) // batch_size)
    window = min(WINDOW_BATCHES, max(1, batches // 4)) * batch_size
    for start in range(0, len(order), window):
        part = order[start : start + window]
        order[start : start + window] = part[np.argsort(n_atoms[part], kind="stable")]
    return order


def cut_batches(
    order: npt.NDArray[np.int64],
    n_atoms: npt.NDArray[np.integer],
    batch_size: int,
    max_atoms: int | None = None,
    multiple: int = 1,
) -> list[npt.NDArray[np.int64]]:
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
    sizes = n_atoms[order].astype(np.int64)
    counts = np.arange(1, limit + 1)
    batches, start = [], 0
    while start < len(order):
        largest = np.maximum.accumulate(sizes[start : start + limit])
        taken = len(largest)
        if max_atoms is not None:
            fitting = int(np.searchsorted(largest * counts[:taken], max_atoms, side="right"))
            if fitting < taken:
                taken = fitting // multiple * multiple or max(fitting, 1)
        batches.append(order[start : start + taken])
        start += taken
    return batches


def padding_share(n_atoms: npt.NDArray[np.integer], batches: Iterable[npt.NDArray[np.int64]]) -> float:
    """Computed pairs over useful pairs of these batches, N^2 per molecule: 1 means no padding."""
    computed = useful = 0
    for batch in batches:
        sizes = n_atoms[batch].astype(np.int64)
        computed += len(sizes) * int(sizes.max()) ** 2
        useful += int((sizes**2).sum())
    return computed / useful
