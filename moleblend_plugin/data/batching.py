"""The order of an epoch: shuffled, yet with neighbours of like size, so that little padding is computed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.rng import Purpose, generator

WINDOW_BATCHES = 32
"""How many batches are sorted by size together: enough to cut padding, few enough to keep batches mixed.

A small set has at least four windows, so that its batches differ from epoch to epoch.
"""


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
    order = generator(seed, epoch, 0, Purpose.ORDER).permutation(len(n_atoms)).astype(np.int64)
    batches = -(-len(order) // batch_size)
    window = min(WINDOW_BATCHES, max(1, batches // 4)) * batch_size
    for start in range(0, len(order), window):
        part = order[start : start + window]
        order[start : start + window] = part[np.argsort(n_atoms[part], kind="stable")]
    return order


def padding_share(n_atoms: npt.NDArray[np.integer], order: npt.NDArray[np.int64], batch_size: int) -> float:
    """Computed pairs over useful pairs of one epoch, N^2 per molecule: 1 means no padding."""
    sizes = n_atoms[order].astype(np.float64)
    batches = [sizes[start : start + batch_size] for start in range(0, len(sizes), batch_size)]
    return float(sum(len(batch) * batch.max() ** 2 for batch in batches) / (sizes**2).sum())
