"""``--loss`` of MMSA-style (reconstructed) pretraining, alone and on top of blend-then-predict.

The loss of a batch is its mean objective times its molecules. In an update of several processes each sees the
joined batch and counts the molecules that it holds, so the sum over processes is that of one process.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from moleblend_plugin.data.batches.views import ViewConfig
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import BaseLoss, BaseTask, log_scalar, register_loss
from moleblend_plugin.losses.pretrain import PretrainLossConfig, pretrain_objective
from moleblend_plugin.losses.structure import (
    TERMS,
    StructureLossConfig,
    structure_terms,
    weigh_structure,
)
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.structure.network import StructureOutput
from moleblend_plugin.runs.flags import add_flags, read_flags
from moleblend_plugin.tasks.pretrain.loss import MoleblendPretrainLoss
from moleblend_plugin.tasks.structure.report import (
    CollapseWatch,
    log_structure,
    retrieval_names,
    term_outputs,
)


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

    def __call__(self, output: StructureOutput, sample: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """The mean objective of the joined batch, and sums to log for the molecules of this process."""
        step = sample.get("step", {})  # validation has none: full weights, and a look
        found = structure_terms(output, self.views, self.config)
        logged = term_outputs(found, len(sample["index"]))
        logged |= self.watch.outputs(output, step.get("monitor"))
        return weigh_structure(found.terms, self.config, step.get("share", 1.0)), logged

    def logged_names(self) -> list[str]:
        """Names that validation logs."""
        losses = [f"{name}_loss" for name in TERMS]
        return [*losses, *retrieval_names(self.views), *self.watch.names(), "collapse_alarms"]


@register_loss("moleblend_structure_aware")
class StructureAwareLoss(BaseLoss):
    """MMSA-style (reconstructed) objective."""

    def __init__(self, task: BaseTask, objective: StructureObjective) -> None:
        super().__init__(task)
        self.objective = objective

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        """One option per field of :class:`StructureLossConfig`."""
        add_flags(parser, StructureLossConfig)

    @classmethod
    def build_loss(cls, args: argparse.Namespace, task: BaseTask) -> StructureAwareLoss:
        """The objective of ``args``."""
        return cls(task, _objective(args))

    def logged_names(self) -> list[str]:
        """Names that validation logs, for ``--best-checkpoint-metric``."""
        return ["loss", *self.objective.logged_names()]

    def forward(
        self, model: nn.Module, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss (summed over molecules), number of molecules, and what to log."""
        counted = sample.get("step", {}).get("counted")
        output = model(views=sample["views"], counted=counted, **sample["net_input"])
        mean, logged = self.objective(output, sample)
        molecules = len(sample["index"])
        loss = mean * molecules
        return loss, molecules, logged | {"loss": loss.detach(), "bsz": molecules, "sample_size": molecules}

    @staticmethod
    def reduce_metrics(logging_outputs: list[dict[str, Any]], split: str = "train") -> None:
        """Average losses over molecules and hits over their attempts."""
        molecules = float(sum(output.get("sample_size", 0) for output in logging_outputs))
        loss = float(sum(output.get("loss", 0) for output in logging_outputs))
        log_scalar("loss", loss / max(molecules, 1), molecules, round=4)
        log_structure(logging_outputs)

    @staticmethod
    def logging_outputs_can_be_summed(is_train: bool) -> bool:
        """Every logged value is a number, with the same keys in every batch of a run."""
        return True


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
class BlendedStructureAwareLoss(BaseLoss):
    """Blend-then-predict, plus the structure-aware objective times its weight."""

    def __init__(
        self,
        task: BaseTask,
        blended: MoleblendPretrainLoss,
        objective: StructureObjective,
        weight: float,
    ) -> None:
        super().__init__(task)
        self.blended = blended
        self.objective = objective
        self.weight = weight

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        """Options of both objectives, and the weight of the second."""
        add_flags(parser, PretrainLossConfig)
        add_flags(parser, StructureLossConfig)
        add_flags(parser, AddedWeight)

    @classmethod
    def build_loss(cls, args: argparse.Namespace, task: BaseTask) -> BlendedStructureAwareLoss:
        """The objective of ``args``."""
        model = read_flags(args, ModelConfig)
        config = read_flags(args, PretrainLossConfig)
        blended = MoleblendPretrainLoss(task, config, model.distance_max, model.pair_target)
        weight = read_flags(args, AddedWeight).structure_aware_weight
        return cls(task, blended, _objective(args), weight)

    def logged_names(self) -> list[str]:
        """Names that validation logs, for ``--best-checkpoint-metric``."""
        return [*self.blended.logged_names(), "structure_loss", *self.objective.logged_names()]

    def forward(
        self, model: nn.Module, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss (summed over molecules), number of molecules, and what to log."""
        inputs, target = sample["net_input"], sample["target"]
        counted = sample.get("step", {}).get("counted")
        predictions, output = model(
            views=sample["views"], clean_coords=target["clean_coords"], counted=counted, **inputs
        )
        blended = pretrain_objective(
            predictions, inputs, target, self.blended.config, self.blended.distance_max
        )
        structure, logged = self.objective(output, sample)
        molecules = len(sample["index"])
        loss = (blended.total + self.weight * structure) * molecules
        for name, term in blended.terms.items():
            logged[f"{name}_loss"] = term.loss.detach() * molecules
            logged |= {f"{name}_score": term.score.detach(), f"{name}_counted": term.counted}
        logged |= {"structure_loss": structure.detach() * molecules, "loss": loss.detach()}
        return loss, molecules, logged | {"bsz": molecules, "sample_size": molecules}

    @staticmethod
    def reduce_metrics(logging_outputs: list[dict[str, Any]], split: str = "train") -> None:
        """Average losses over molecules and scores over their targets."""
        MoleblendPretrainLoss.reduce_metrics(logging_outputs, split)
        molecules = float(sum(output.get("sample_size", 0) for output in logging_outputs))
        structure = float(sum(output.get("structure_loss", 0) for output in logging_outputs))
        log_scalar("structure_loss", structure / max(molecules, 1), molecules, round=4)
        log_structure(logging_outputs)

    @staticmethod
    def logging_outputs_can_be_summed(is_train: bool) -> bool:
        """Every logged value is a number, with the same keys in every batch of a run."""
        return True


def _objective(args: argparse.Namespace) -> StructureObjective:
    return StructureObjective(read_flags(args, StructureLossConfig), read_flags(args, ViewConfig).names)
