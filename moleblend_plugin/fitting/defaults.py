"""How a network is trained where the user leaves it open: by the number of molecules.

For a laptop with two cores and no GPU: what some minutes of it (up to 2,500 molecules) or hours allow; no
score chose these numbers. Members are an even number, so that two at a time leave no core idle.

Readout and descriptors were chosen on the validation parts of MoleculeNet sets (examples/20_moleculenet):
with descriptors as further input of the head they are better on BACE, ClinTox and FreeSolv and level on ESOL.
They cost 16 ms a molecule, which the forests of a stack pay anyway.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from moleblend_plugin.fitting.options import FitOptions

FEWEST_PER_FOLD: Final = 5

READOUT_OF: Final = {"classification": "cls", "multiclass": "cls"}
"""By kind of the labels; for all others the mean of the atoms."""


class Defaults(NamedTuple):
    """Settings for tables of up to so many training molecules.

    Attributes:
        molecules: largest number of molecules.
        ensemble_size: networks, one per fold.
        epochs: passes over the molecules.
        batch_size: molecules per update.
        stacking: whether forests are combined with the networks.
        featurizers: what the head reads beside the encoder.
    """

    molecules: float
    ensemble_size: int
    epochs: int
    batch_size: int
    stacking: bool
    featurizers: str


BY_SIZE: Final = (
    Defaults(400, 6, 60, 16, True, "descriptors"),
    Defaults(2_500, 4, 20, 32, True, "descriptors"),
    Defaults(12_000, 4, 20, 32, True, "descriptors"),
    Defaults(50_000, 2, 10, 64, False, "none"),
    Defaults(float("inf"), 2, 4, 64, False, "none"),
)


def with_defaults(options: FitOptions, molecules: int) -> FitOptions:
    """``options`` in which nothing about training is left open.

    Args:
        options: what the user said; its ``task`` is settled.
        molecules: of the training part.
    """
    row = next(row for row in BY_SIZE if molecules <= row.molecules)
    size = options.ensemble_size or max(2, min(row.ensemble_size, molecules // FEWEST_PER_FOLD))
    stacking = options.stacking
    if stacking == "auto":
        stacking = "yes" if row.stacking and size > 1 else "no"
    readout, featurizers = options.readout, options.molecule_featurizers
    return replace(
        options,
        ensemble_size=size,
        epochs=options.epochs or row.epochs,
        batch_size=options.batch_size or row.batch_size,
        stacking=stacking,
        readout=(READOUT_OF.get(options.task, "mean") if readout == "auto" else readout),
        molecule_featurizers=row.featurizers if featurizers == "auto" else featurizers,
    )
