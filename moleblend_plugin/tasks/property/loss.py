"""``--loss`` of property runs, in the trainer's form: sums over labels, and whole validations at once.

B molecules in a batch, L labels per molecule; K classes of one label. An update is the mean over its labels,
so every label counts alike however molecules fall into batches, micro-batches and processes. With
``--weight-column`` it is the weighted mean: a label counts as its molecule's weight says.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, ClassVar, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from moleblend_plugin.data.batches.collate import Batch
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import BaseLoss, BaseTask, log_scalar, register_loss
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.losses.property import (
    ClassificationConfig,
    LabelLoss,
    MixedConfig,
    MulticlassConfig,
    RegressionConfig,
    classification_loss,
    mixed_loss,
    multiclass_loss,
    regression_loss,
)
from moleblend_plugin.losses.term_table import TOTAL
from moleblend_plugin.metrics.scores import METRICS, SCORERS, TaskScores, average_rows
from moleblend_plugin.models.property.network import PropertyOutputs
from moleblend_plugin.runs.flags import WithFlags, read_flags
from moleblend_plugin.schema import Curve, LabelKind
from moleblend_plugin.tasks.property.task import MoleblendPropertyTask


class PropertyLoss(WithFlags, BaseLoss):
    """What both losses share. In validation a logging output carries its rows, which are scored as one."""

    kind: ClassVar[LabelKind]

    def label_loss(self, outputs: Tensor, targets: Tensor, model: PropertyOutputs) -> LabelLoss:
        """Loss of every label from the network's outputs [B, L], or [B, K], and the labels [B, L] in their
        units."""
        raise NotImplementedError

    def predictions(self, outputs: Tensor, model: PropertyOutputs) -> Tensor:
        """fp32 [B, L], or [B, K]: what users see."""
        raise NotImplementedError

    def forward(
        self, model: nn.Module, sample: Batch, reduce: bool = True
    ) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Loss (summed over labels), number of labels, and what to log."""
        outputs, targets = model(**sample["net_input"]), sample["target"]["targets"]
        network = cast("PropertyOutputs", model)  # maybe wrapped, by what forwards its attributes
        losses, present = self.label_loss(outputs, targets, network)
        counts: Tensor = present
        weights = sample["target"].get("weights")  # [B]
        if weights is not None:
            losses, counts = losses * weights[:, None], present * weights[:, None]
        loss, labels = losses.sum(), counts.sum()
        logged: dict[str, Any] = {"loss": loss.detach(), "bsz": len(targets), "sample_size": labels}
        if not self.training:
            rows = {
                "row_loss": losses.detach().sum(1),
                "row_labels": counts.sum(1),
                "predictions": self.predictions(outputs.detach(), network),
                "targets": targets,
            }
            # Arrays keep a gathered output small, and its size foreseeable.
            logged |= {name: value.float().cpu().numpy() for name, value in rows.items()}
            logged["index"] = sample["index"].cpu().numpy()
            if self.kind == "mixed":
                logged["is_class"] = network.is_class.cpu().numpy()
        return loss, labels, logged

    def curves(self) -> list[Curve]:
        """What validation logs and a checkpoint can be the best by."""
        kinds = _kinds_in(self.kind)
        return [TOTAL, *(metric.curve for metric in METRICS.values() if metric.kind in kinds)]

    def logged_names(self) -> list[str]:
        """Names that validation logs, for ``--best-checkpoint-metric``."""
        return [curve.key for curve in self.curves()]

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]], split: str = "train") -> None:
        """The loss; in validation also the mean scores over tasks on which they are defined."""
        _log_loss(logging_outputs)
        if _has_rows(logging_outputs):
            _log_scores(logging_outputs, cls.kind)

    @staticmethod
    def logging_outputs_can_be_summed(is_train: bool) -> bool:
        """In training every value is a number under fixed names; in validation there are rows."""
        return is_train


@register_loss("moleblend_classification")
class MoleblendClassificationLoss(PropertyLoss):
    """Binary cross-entropy of several tasks with missing labels.

    Args:
        task: the task.
        positive_weight: fp32 [L], what positives count; ``None`` for 1.
    """

    CONFIGS = (ClassificationConfig,)
    kind: ClassVar[LabelKind] = "classification"

    def __init__(self, task: BaseTask, positive_weight: Tensor | None = None) -> None:
        super().__init__(task)
        self.register_buffer("positive_weight", positive_weight, persistent=False)
        self.positive_weight: Tensor | None

    @classmethod
    def build_loss(cls, args: argparse.Namespace, task: MoleblendPropertyTask) -> MoleblendClassificationLoss:
        """The loss of ``args`` with the class weights of the training split."""
        if read_flags(args, ClassificationConfig).class_weights == "none":
            return cls(task)
        return cls(task, balanced(task.labels.positives, task.labels.negatives))

    def label_loss(self, outputs: Tensor, targets: Tensor, model: PropertyOutputs) -> LabelLoss:
        """Cross-entropy of logits [B, L]."""
        weight = self.positive_weight
        return classification_loss(outputs, targets, None if weight is None else weight.float())

    def predictions(self, outputs: Tensor, model: PropertyOutputs) -> Tensor:
        """Probabilities."""
        return torch.sigmoid(outputs.float())


@register_loss("moleblend_regression")
class MoleblendRegressionLoss(PropertyLoss):
    """Regression of standardised targets with missing labels."""

    CONFIGS = (RegressionConfig,)
    kind: ClassVar[LabelKind] = "regression"

    def __init__(self, task: BaseTask, config: RegressionConfig) -> None:
        super().__init__(task)
        self.config = config

    @classmethod
    def build_loss(cls, args: argparse.Namespace, task: MoleblendPropertyTask) -> MoleblendRegressionLoss:
        """The loss of ``args``."""
        return cls(task, read_flags(args, RegressionConfig))

    def label_loss(self, outputs: Tensor, targets: Tensor, model: PropertyOutputs) -> LabelLoss:
        """Error of standardised values [B, L]."""
        standard = (targets.float() - model.target_mean) / model.target_std
        return regression_loss(outputs, standard, self.config.regression_loss)

    def predictions(self, outputs: Tensor, model: PropertyOutputs) -> Tensor:
        """Values in the labels' own units."""
        values: Tensor = outputs.float() * model.target_std + model.target_mean
        return values


@register_loss("moleblend_multiclass")
class MoleblendMulticlassLoss(PropertyLoss):
    """Cross-entropy of the softmax over the classes of one column, whose labels may be missing.

    Args:
        task: the task.
        class_weight: fp32 [K], what a label of each class counts; ``None`` for 1.
    """

    CONFIGS = (MulticlassConfig, ClassificationConfig)
    kind: ClassVar[LabelKind] = "multiclass"

    def __init__(self, task: BaseTask, class_weight: Tensor | None = None) -> None:
        super().__init__(task)
        self.register_buffer("class_weight", class_weight, persistent=False)
        self.class_weight: Tensor | None

    @classmethod
    def build_loss(cls, args: argparse.Namespace, task: MoleblendPropertyTask) -> MoleblendMulticlassLoss:
        """The loss of ``args`` with the class weights of the training split."""
        if read_flags(args, ClassificationConfig).class_weights == "none":
            return cls(task)
        return cls(task, balanced_classes(task.labels.of_class, args.num_classes))

    def label_loss(self, outputs: Tensor, targets: Tensor, model: PropertyOutputs) -> LabelLoss:
        """Cross-entropy of logits [B, K] and classes [B, 1]."""
        weight = self.class_weight
        return multiclass_loss(outputs, targets, None if weight is None else weight.float())

    def predictions(self, outputs: Tensor, model: PropertyOutputs) -> Tensor:
        """Probabilities [B, K]."""
        return torch.softmax(outputs.float(), -1)


@register_loss("moleblend_mixed")
class MoleblendMixedLoss(PropertyLoss):
    """Cross-entropy of the columns ``--class-columns``, regression of standardised targets in the others.

    Args:
        task: the task.
        config: of the regression.
        positive_weight: fp32 [L], what positives count; ``None`` for 1.
    """

    CONFIGS = (MixedConfig, ClassificationConfig, RegressionConfig)
    kind: ClassVar[LabelKind] = "mixed"

    def __init__(
        self, task: BaseTask, config: RegressionConfig, positive_weight: Tensor | None = None
    ) -> None:
        super().__init__(task)
        self.config = config
        self.register_buffer("positive_weight", positive_weight, persistent=False)
        self.positive_weight: Tensor | None

    @classmethod
    def build_loss(cls, args: argparse.Namespace, task: MoleblendPropertyTask) -> MoleblendMixedLoss:
        """The loss of ``args`` with the class weights of the training split."""
        config, weight = read_flags(args, RegressionConfig), None
        if read_flags(args, ClassificationConfig).class_weights == "balanced":
            labels = task.labels
            known = balanced(labels.positives, labels.negatives)
            weight = torch.where(torch.from_numpy(labels.is_class), known, 1.0)
        return cls(task, config, weight)

    def label_loss(self, outputs: Tensor, targets: Tensor, model: PropertyOutputs) -> LabelLoss:
        """Cross-entropy of logits, error of standardised values [B, L]."""
        standard = (targets.float() - model.target_mean) / model.target_std  # classes have 0 and 1
        weight = None if self.positive_weight is None else self.positive_weight.float()
        return mixed_loss(outputs, standard, model.is_class, self.config.regression_loss, weight)

    def predictions(self, outputs: Tensor, model: PropertyOutputs) -> Tensor:
        """Probabilities, and values in the labels' own units."""
        return model.in_units(outputs)


def balanced(positives: npt.NDArray[np.int64], negatives: npt.NDArray[np.int64]) -> Tensor:
    """Weight of positives, fp32 [L]: negatives / positives, and 1 where a class is missing."""
    both = (positives > 0) & (negatives > 0)
    return torch.from_numpy(np.where(both, negatives / np.maximum(positives, 1), 1.0)).float()


def balanced_classes(of_class: Sequence[int], num_classes: int) -> Tensor:
    """Weight of each class, fp32 [K]: labels / (classes x labels of it), 1 where there is none.

    The mean weight of a training label is 1, as in scikit-learn's "balanced".
    """
    counts = np.zeros(num_classes)
    counts[: len(of_class)] = of_class
    there = counts > 0
    even = counts.sum() / max(1, np.count_nonzero(there))
    return torch.from_numpy(np.where(there, even / np.maximum(counts, 1), 1.0)).float()


def _kinds_in(kind: LabelKind) -> tuple[ColumnKind, ...]:
    """Kinds of the columns of a run."""
    return ("classification", "regression") if kind == "mixed" else (kind,)


def _has_rows(logging_outputs: list[dict[str, Any]]) -> bool:
    return any("index" in output for output in logging_outputs)


def _log_loss(logging_outputs: list[dict[str, Any]]) -> None:
    """Mean loss per label. In validation a molecule counts once, with the mean over its conformers."""
    if _has_rows(logging_outputs):
        _, sums = average_rows(
            _joined(logging_outputs, "index"),
            np.stack([_joined(logging_outputs, name) for name in ("row_loss", "row_labels")], axis=1),
        )
        loss, labels = sums.sum(0)
    else:
        loss = float(sum(output.get("loss", 0) for output in logging_outputs))
        labels = float(sum(output.get("sample_size", 0) for output in logging_outputs))
    log_scalar("loss", float(loss) / (float(labels) or 1.0), float(labels), round=4)


def _log_scores(logging_outputs: list[dict[str, Any]], kind: LabelKind) -> None:
    index = _joined(logging_outputs, "index")
    _, predictions = average_rows(index, _joined(logging_outputs, "predictions"))
    _, targets = average_rows(index, _joined(logging_outputs, "targets"))
    losses = _joined(logging_outputs, "row_loss")[_joined(logging_outputs, "row_labels") > 0]
    check_finite(predictions, targets, losses)
    is_class = next((output["is_class"] for output in logging_outputs if "is_class" in output), None)
    scores: dict[str, TaskScores] = {}
    for own in _kinds_in(kind):
        # One column of "is_class" for all: the outputs of every batch hold the same.
        chosen = (
            np.flatnonzero(is_class == (own == "classification")) if is_class is not None else slice(None)
        )
        columns = targets[:, chosen]
        found_of = predictions[:, chosen]  # of several classes in one column, a column for each
        scores |= SCORERS[own](columns, found_of, [str(column) for column in range(columns.shape[1])])
    for name, found in scores.items():
        if found.per_task:
            log_scalar(name, found.mean, weight=0, round=4)
    if "roc_auc" in scores:
        log_scalar("tasks_counted", len(scores["roc_auc"].per_task), weight=0)


DIVERGED_LOSS: Final = 1e3
"""Of standardised labels this is an error of 30 standard deviations: no model of use does that to most."""


def check_finite(
    predictions: npt.NDArray[np.float64], targets: npt.NDArray[np.float64], losses: npt.NDArray[np.float32]
) -> None:
    """Distinguish a diverged model from molecules that a good one cannot do, reported with scores.

    Args:
        predictions: [M, L], or [M, K] of K classes.
        targets: [M, L], NaN where a label is missing.
        losses: [R], of every row with a label; a molecule may have several.

    Raises:
        MoleblendError: predictions are not finite, and the model is to blame.
    """
    labelled = ~np.isnan(targets)
    lost = ~np.isfinite(predictions)
    if lost.shape != labelled.shape:
        lost = ~np.isfinite(predictions.sum(1, keepdims=True))
    bad = int((labelled & lost).sum())
    if not bad:
        return
    finite = losses[np.isfinite(losses)]
    usual = float(np.median(finite)) if len(finite) else np.inf
    if 2 * bad > labelled.sum() or usual > DIVERGED_LOSS:
        raise MoleblendError(
            f"the model has diverged: {bad} of {int(labelled.sum())} predictions of the validation part are "
            "not finite; lower --lr or set --clip-norm, and begin from a checkpoint before"
        )


def _joined(logging_outputs: list[dict[str, Any]], name: str) -> npt.NDArray[Any]:
    return np.concatenate([output[name] for output in logging_outputs if name in output])
