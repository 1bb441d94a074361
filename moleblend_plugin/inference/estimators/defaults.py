"""What "auto" stands for: settings of a training by the kind of its labels and the number of its molecules.

The only place of these choices: the estimators and ``moleblend fit`` ask here.

For a laptop with two cores and no GPU: what some minutes of it (up to 2,500 molecules) or hours allow; no
score chose these numbers. Members are an even number, so that two at a time leave no core idle.

Readout and descriptors were chosen on the validation parts of MoleculeNet sets (examples/20_moleculenet):
with descriptors as further input of the head they are better on BACE, ClinTox and FreeSolv and level on ESOL.
They cost 16 ms a molecule, which the forests of a stack pay anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moleblend_plugin.schema import LabelKind

if TYPE_CHECKING:
    from moleblend_plugin.models.blend.heads import Readout
    from moleblend_plugin.models.property.network import MoleculeFeaturizers

AUTO: Final = "auto"

FEWEST_PER_FOLD: Final = 5

READOUT_OF: Final[dict[LabelKind, Readout]] = {"classification": "cls", "multiclass": "cls"}
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
    featurizers: MoleculeFeaturizers


BY_SIZE: Final = (
    Defaults(400, 6, 60, 16, True, "descriptors"),
    Defaults(2_500, 4, 20, 32, True, "descriptors"),
    Defaults(12_000, 4, 20, 32, True, "descriptors"),
    Defaults(50_000, 2, 10, 64, False, "none"),
    Defaults(float("inf"), 2, 4, 64, False, "none"),
)


def settled(given: Mapping[str, Any], kind: LabelKind, molecules: int) -> dict[str, Any]:
    """The settings of :class:`Defaults`, and ``readout``, with "auto" replaced by what it stands for.

    Args:
        given: all of them, by the names that they have in the estimators, and ``ensemble``.
        kind: of the labels.
        molecules: that are trained on.
    """
    row = next(row for row in BY_SIZE if molecules <= row.molecules)
    size = max(2, min(row.ensemble_size, molecules // FEWEST_PER_FOLD))
    if given["ensemble_size"] != AUTO:
        size = given["ensemble_size"]
    chosen = {
        "ensemble_size": size,
        "epochs": row.epochs,
        "batch_size": row.batch_size,
        "stacking": row.stacking and size > 1 and given["ensemble"] == "folds",
        "readout": READOUT_OF.get(kind, "mean"),
        "molecule_featurizers": row.featurizers,
    }
    return {name: value if given[name] == AUTO else given[name] for name, value in chosen.items()}
