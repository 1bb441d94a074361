"""Terms of fine-tuning: one number per label, and 0 where the label is missing (method 5).

B molecules, L labels per molecule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.label_kinds import MOST_CLASSES
from moleblend_plugin.names import parse_names

ClassWeights = Literal["none", "balanced"]
RegressionForm = Literal["mse", "mae", "smooth_l1", "huber"]


@dataclass(frozen=True, slots=True)
class ClassificationConfig:
    """How classification weighs its labels.

    Attributes:
        class_weights: "balanced" weighs the positives of a task by negatives / positives of the training
            split, so that both classes count alike; of several classes in one column every label by labels /
            (classes x labels of its class).
    """

    class_weights: ClassWeights = "none"


@dataclass(frozen=True, slots=True)
class RegressionConfig:
    """What regression minimises, on targets standardised by the training split.

    Attributes:
        regression_loss: mse, mae, smooth_l1 or huber; the last two turn from squared to absolute error at
            a deviation of one standard deviation of the training labels.
    """

    regression_loss: RegressionForm = "mse"


@dataclass(frozen=True, slots=True)
class MixedConfig:
    """Which labels of a run with both kinds are classes.

    Attributes:
        class_columns: with --loss moleblend_mixed, the columns of labels that hold the classes 0 and 1, with
            commas between them; the others hold values.
    """

    class_columns: str = ""


@dataclass(frozen=True, slots=True)
class MulticlassConfig:
    """The classes of a run with several of them in one column.

    Attributes:
        num_classes: with --loss moleblend_multiclass, how many classes the column of labels has, 0 to N - 1
            (default: one more than the largest label of the training split).
        class_names: what they are called, from 0 on, with commas between them; a name with a comma in double
            quotes (default: their numbers).

    Raises:
        MoleblendError: a number of classes that cannot be, or other names than so many different ones.
    """

    num_classes: int = 0
    class_names: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, K of them where their number is known."""
        return parse_names(self.class_names) or tuple(map(str, range(self.num_classes)))

    def __post_init__(self) -> None:
        if self.num_classes and not 2 <= self.num_classes <= MOST_CLASSES:
            raise MoleblendError(
                f"--num-classes {self.num_classes}: give 2 to {MOST_CLASSES:,} (0: as many as there are)"
            )
        given = parse_names(self.class_names)
        if len(set(given)) < len(given):
            raise MoleblendError(f"--class-names {self.class_names!r}: name every class once")
        if given and self.num_classes and len(given) != self.num_classes:
            raise MoleblendError(
                f"--class-names gives {len(given)} names for --num-classes {self.num_classes}: give as many"
            )


class LabelLoss(NamedTuple):
    """Loss of every label."""

    loss: Tensor  # fp32 [B, L], 0 where the label is missing
    present: Tensor  # bool [B, L]


_ELEMENTWISE: Final[dict[str, Callable[..., Tensor]]] = {
    "mse": F.mse_loss,
    "mae": F.l1_loss,
    "smooth_l1": F.smooth_l1_loss,
    "huber": F.huber_loss,
}


def classification_loss(logits: Tensor, targets: Tensor, positive_weight: Tensor | None = None) -> LabelLoss:
    """Binary cross-entropy of every label.

    Args:
        logits: [B, L].
        targets: [B, L] of 0, 1 or NaN where a label is missing.
        positive_weight: fp32 [L], what positives count in each column; 1 by default.
    """
    present = ~targets.isnan()
    known = torch.where(present, targets.float(), 0.0)
    with torch.autocast(logits.device.type, enabled=False):
        loss = F.binary_cross_entropy_with_logits(
            logits.float(), known, reduction="none", pos_weight=positive_weight
        )
    return LabelLoss(torch.where(present, loss, 0.0), present)


def multiclass_loss(logits: Tensor, targets: Tensor, class_weight: Tensor | None = None) -> LabelLoss:
    """Cross-entropy of the softmax over K classes.

    Args:
        logits: [B, K].
        targets: [B, 1] of 0 to K - 1, or NaN where a label is missing.
        class_weight: fp32 [K], what a label of each class counts; 1 by default.
    """
    present = ~targets.isnan()
    known = torch.where(present, targets, 0.0).long()[:, 0]
    with torch.autocast(logits.device.type, enabled=False):
        loss = F.cross_entropy(logits.float(), known, class_weight, reduction="none")
    return LabelLoss(torch.where(present, loss[:, None], 0.0), present)


def mixed_loss(
    outputs: Tensor,
    targets: Tensor,
    is_class: Tensor,
    form: RegressionForm = "mse",
    positive_weight: Tensor | None = None,
) -> LabelLoss:
    """Cross-entropy of the columns that hold classes, error of the others.

    Both are near 1 for a network that knows nothing: the squared error of standardised labels is 1 there, and
    the cross-entropy of equally frequent classes ln 2, so that no column outweighs the others by its unit.

    Args:
        outputs: [B, L], logits or standardised values.
        targets: [B, L], 0 and 1 or standardised values, NaN where a label is missing.
        is_class: bool [L].
        form: the elementwise loss of values.
        positive_weight: fp32 [L], what positives count; 1 by default.
    """
    classes = classification_loss(outputs, torch.where(is_class, targets.float(), torch.nan), positive_weight)
    values = regression_loss(outputs, torch.where(is_class, torch.nan, targets.float()), form)
    return LabelLoss(classes.loss + values.loss, classes.present | values.present)


def regression_loss(values: Tensor, targets: Tensor, form: RegressionForm = "mse") -> LabelLoss:
    """Error of every standardised value.

    Args:
        values: [B, L], standardised.
        targets: [B, L] in the same units, NaN where a label is missing.
        form: the elementwise loss.
    """
    present = ~targets.isnan()
    known = torch.where(present, targets.float(), 0.0)
    with torch.autocast(values.device.type, enabled=False):
        loss = _ELEMENTWISE[form](values.float(), known, reduction="none")
    return LabelLoss(torch.where(present, loss, 0.0), present)
