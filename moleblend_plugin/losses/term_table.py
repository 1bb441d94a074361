"""What every objective says of its terms, in one form: names in logs, titles, units, and which way is better.

An objective's file ends with its table: ``pretrain.PRETRAIN_TERMS``, ``structure.STRUCTURE_TERMS``. From
these rows follow the weights, the logged names, the choices of ``--best-checkpoint-metric`` with their
direction, and what ``moleblend curves`` shows. That command must start quickly, so nothing here and in those
files imports torch at its top.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from moleblend_plugin.schema import Curve

if TYPE_CHECKING:
    from torch import Tensor


class Term(NamedTuple):
    """One loss term of a batch. ``score / counted`` is what is logged beside it."""

    loss: Tensor  # scalar
    score: Tensor  # scalar: correct classes, Angstrom, or cosines, summed
    counted: Tensor  # scalar: how many targets


class TermSpec(NamedTuple):
    """One row of an objective's table.

    Attributes:
        name: of the term; its loss is logged as ``<name>_loss``.
        title: what people call it.
        unit: of its loss.
        weight: field of the objective's config that weighs it, which is also its flag.
        score: what is logged of ``Term.score / Term.counted``; ``None`` for nothing.
    """

    name: str
    title: str
    unit: str
    weight: str
    score: Curve | None = None

    @property
    def loss(self) -> Curve:
        """What is logged of ``Term.loss``."""
        return Curve(f"{self.name}_loss", f"{self.title} loss", self.unit)


TOTAL: Final = Curve("loss", "total loss", "weighted sum")
"""What is optimised, of every objective."""


def curves_of(terms: Iterable[TermSpec]) -> list[Curve]:
    """What is logged of some terms: the losses, then the scores."""
    rows = list(terms)
    return [*(row.loss for row in rows), *(row.score for row in rows if row.score)]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask``; 0 where it is nowhere."""
    return values.where(mask, 0.0).sum() / mask.sum().clamp(min=1)
