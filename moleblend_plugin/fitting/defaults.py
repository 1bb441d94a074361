"""How a network is trained where the user leaves it open: by the number of molecules.

For a laptop with two cores and no GPU: what some minutes of it (up to 2,500 molecules) or hours allow; no
score chose these numbers. Members are an even number, so that two at a time leave no core idle.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from moleblend_plugin.fitting.options import FitOptions

FEWEST_PER_FOLD: Final = 5


class Defaults(NamedTuple):
    """Settings for tables of up to so many training molecules.

    Attributes:
        molecules: largest number of molecules.
        ensemble_size: networks, one per fold.
        epochs: passes over the molecules.
        batch_size: molecules per update.
        stacking: whether forests are combined with the networks.
    """

    molecules: float
    ensemble_size: int
    epochs: int
    batch_size: int
    stacking: bool


BY_SIZE: Final = (
    Defaults(400, 6, 60, 16, True),
    Defaults(2_500, 4, 20, 32, True),
    Defaults(12_000, 4, 20, 32, True),
    Defaults(50_000, 2, 10, 64, False),
    Defaults(float("inf"), 2, 4, 64, False),
)


def with_defaults(options: FitOptions, molecules: int) -> FitOptions:
    """``options`` in which nothing about training is left open.

    Args:
        options: what the user said.
        molecules: of the training part.
    """
    row = next(row for row in BY_SIZE if molecules <= row.molecules)
    size = options.ensemble_size or max(2, min(row.ensemble_size, molecules // FEWEST_PER_FOLD))
    stacking = options.stacking
    if stacking == "auto":
        stacking = "yes" if row.stacking and size > 1 else "no"
    return replace(
        options,
        ensemble_size=size,
        epochs=options.epochs or row.epochs,
        batch_size=options.batch_size or row.batch_size,
        stacking=stacking,
    )
