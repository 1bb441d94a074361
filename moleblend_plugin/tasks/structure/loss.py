"""``--loss`` of MMSA-style (reconstructed) pretraining, alone and on top of blend-then-predict.

The loss of a batch is its mean objective times its molecules. In an update of several processes each sees the
joined batch and counts the molecules that it holds, so the sum over processes is that of one process.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from torch import Tensor, nn

from moleblend_plugin.data.batches.collate import Batch
from moleblend_plugin.data.samples.views import ViewConfig
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import BaseTask, register_loss
from moleblend_plugin.losses.pretrain import PRETRAIN_TERMS, PretrainLossConfig, pretrain_objective
from moleblend_plugin.losses.structure import (
    RETRIEVAL,
    STRUCTURE_AWARE,
    STRUCTURE_TERMS,
    StructureLossConfig,
    structure_terms,
    weigh_structure,
)
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.schema import Curve, StructureOutput
from moleblend_plugin.tasks.pretrain.loss import MoleblendPretrainLoss
from moleblend_plugin.tasks.structure.report import CollapseWatch, log_watch
from moleblend_plugin.tasks.term_loss import TermLoss, batch_outputs, log_mean, summed, term_outputs


class Step(TypedDict, total=False):
    """What an update does with its batch; validation has none: full weights, and a look."""

    counted: bool  # whether the batch takes part, or only keeps this process in step with the others
    share: float  # what module B's terms count, 0 to 1
    monitor: bool  # whether to look for collapse


class StructureBatch(Batch, total=False):
    """A batch with the update that it is part of."""

    step: Step


class StructureObjective:
    """Terms, their sum and what is logged about them.

    Args:
        config: weights and temperatures.
        views: names of the V views.
    """

    def __init__(self, config: StructureLossConfig, views: Sequence[str]) -> None:
        self.config = config
        self.views = tuple(views)
        self.watch = CollapseWatch(views)

    def __call__(self, output: StructureOutput, sample: StructureBatch) -> tuple[Tensor, dict[str, Any]]:
        """The mean objective of the joined batch, and sums to log for the molecules of this process."""
        step = sample.get("step", Step())
        found = structure_terms(output, self.views, self.config)
        logged = term_outputs(found.terms, len(sample["index"])) | self.watch.outputs(
            output, step.get("monitor")
        )
        for name, term in found.retrieval.items():
            logged |= {f"{name}_score": term.score, f"{name}_counted": term.counted}
        return weigh_structure(found.terms, self.config, step.get("share", 1.0)), logged


class ViewLoss(TermLoss):
    """What both losses share: beside their terms, retrieval between views and signs of collapse."""

    objective: StructureObjective

    def curves(self) -> list[Curve]:
        """The table, and the retrieval of every pair of this run's views."""
        views = self.objective.views
        return [*super().curves(), *(curve for pair, curve in RETRIEVAL.items() if {*pair} <= {*views})]

    def logged_names(self) -> list[str]:
        """Names that validation logs, for ``--best-checkpoint-metric``."""
        return [*super().logged_names(), *self.objective.watch.names(), "collapse_alarms"]

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]], split: str = "train") -> None:
        """Average losses over molecules, hits over their attempts, and signs of collapse over looks."""
        super().reduce_metrics(logging_outputs, split)
        for curve in RETRIEVAL.values():
            if summed(logging_outputs, f"{curve.key}_counted"):
                log_mean(curve.key, logging_outputs, f"{curve.key}_score", f"{curve.key}_counted")
        log_watch(logging_outputs)


@register_loss("moleblend_structure_aware")
class StructureAwareLoss(ViewLoss):
    """MMSA-style (reconstructed) objective."""

    CONFIGS = (StructureLossConfig,)
    terms = STRUCTURE_TERMS

    def __init__(self, task: BaseTask, objective: StructureObjective) -> None:
        super().__init__(task)
        self.objective = objective

    @classmethod
    def build_loss(cls, args: argparse.Namespace, task: BaseTask) -> StructureAwareLoss:
        """The objective of ``args``."""
        return cls(task, _objective(args))

    def forward(
        self, model: nn.Module, sample: StructureBatch, reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss (summed over molecules), number of molecules, and what to log."""
        counted = sample.get("step", Step()).get("counted")
        output = model(views=sample["views"], counted=counted, **sample["net_input"])
        mean, logged = self.objective(output, sample)
        loss, molecules, sums = batch_outputs(mean, len(sample["index"]))
        return loss, molecules, logged | sums


@dataclass(frozen=True, slots=True)
class AddedWeight:
    """How much structure awareness counts beside blend-then-predict.

    Attributes:
        structure_aware_weight: of the whole structure-aware objective in the total.

    Raises:
        MoleblendError: a negative weight.
    """

    structure_aware_weight: float = 0.5

    def __post_init__(self) -> None:
        weight = self.structure_aware_weight
        if not (math.isfinite(weight) and weight >= 0):
            raise MoleblendError(f"--structure-aware-weight {weight:g}: give a weight of 0 or more")


@register_loss("moleblend_pretrain_structure_aware")
class BlendedStructureAwareLoss(ViewLoss):
    """Blend-then-predict, plus the structure-aware objective times its weight."""

    CONFIGS = (PretrainLossConfig, StructureLossConfig, AddedWeight)
    terms = (*PRETRAIN_TERMS, STRUCTURE_AWARE, *STRUCTURE_TERMS)

    def __init__(
        self,
        task: BaseTask,
        blended: MoleblendPretrainLoss,
        objective: StructureObjective,
        weight: float,
    ) -> None:
        super().__init__(task)
        self.blended = blended
        self.absent = blended.absent
        self.objective = objective
        self.weight = weight

    @classmethod
    def build_loss(cls, args: argparse.Namespace, task: BaseTask) -> BlendedStructureAwareLoss:
        """The objective of ``args``."""
        model = read_flags(args, ModelConfig)
        config = read_flags(args, PretrainLossConfig)
        blended = MoleblendPretrainLoss(task, config, model.distance_max, model.pair_target)
        weight = read_flags(args, AddedWeight).structure_aware_weight
        return cls(task, blended, _objective(args), weight)

    def forward(
        self, model: nn.Module, sample: StructureBatch, reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss (summed over molecules), number of molecules, and what to log."""
        inputs, target = sample["net_input"], sample["target"]
        counted = sample.get("step", Step()).get("counted")
        predictions, output = model(
            views=sample["views"], clean_coords=target["clean_coords"], counted=counted, **inputs
        )
        blended = pretrain_objective(
            predictions, inputs, target, self.blended.config, self.blended.distance_max
        )
        structure, logged = self.objective(output, sample)
        loss, molecules, sums = batch_outputs(blended.total + self.weight * structure, len(sample["index"]))
        logged |= term_outputs(blended.terms, molecules)
        return loss, molecules, logged | {"structure_loss": structure.detach() * molecules} | sums


def _objective(args: argparse.Namespace) -> StructureObjective:
    return StructureObjective(read_flags(args, StructureLossConfig), read_flags(args, ViewConfig).names)
