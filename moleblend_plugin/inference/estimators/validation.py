"""Which molecules a single network holds out to choose its epoch. Legend: n molecules, T targets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from moleblend_plugin.schema import Float64Array, LabelKind


def validation_rows(
    targets: Float64Array, kind: LabelKind, fraction: float, random: np.random.RandomState
) -> npt.NDArray[np.bool_]:
    """Which molecules are held out to choose the epoch, bool [n]; one target's classes in proportion."""
    count = len(targets)
    held = np.zeros(count, bool)
    if not 0 <= fraction < 1:
        raise ValueError(f"validation_fraction={fraction}: give 0 (train for all epochs) to below 1")
    if fraction == 0:
        return held
    wanted = max(1, round(fraction * count))
    if wanted >= count:
        raise ValueError(
            f"n_samples={count} leaves nothing to train on beside validation: "
            "give more molecules or validation_fraction=0"
        )
    order = random.permutation(count)
    if kind in ("classification", "multiclass") and targets.shape[1] == 1:
        # Every k-th of the molecules sorted by class: each class gives its share.
        order = order[np.argsort(targets[order, 0], kind="stable")]
        order = order[np.linspace(0, count - 1, wanted + 2)[1:-1].round().astype(int)]
    held[order[:wanted]] = True
    return held
