"""``--loss``: objectives in the trainer's form (sum over molecules, sample size, summable numbers)."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor, nn

from moleblend_plugin.host import BaseLoss, BaseTask, log_scalar, register_loss
from moleblend_plugin.losses.pretrain import SCORES, PretrainLossConfig, pretrain_objective
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.runs.flags import add_flags, read_flags


def gradient_norm(loss: Tensor, model: nn.Module) -> Tensor:
    """Norm of the gradient of ``loss`` alone over all weights; the graph and ``.grad`` stay as they are."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    norms = [torch.linalg.vector_norm(gradient.float()) for gradient in gradients if gradient is not None]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


@register_loss("moleblend_pretrain")
class MoleblendPretrainLoss(BaseLoss):
    """Blend-then-predict. The loss of a batch is its mean objective times its molecules.

    So an update averages over molecules, however they fall into batches, micro-batches and processes.
    """

    def __init__(
        self,
        task: BaseTask,
        config: PretrainLossConfig,
        distance_max: float,
        pair_target: str = "distance",
    ) -> None:
        super().__init__(task)
        self.config = config
        self.distance_max = distance_max
        self.pair_target = pair_target

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        """One option per field of :class:`PretrainLossConfig`."""
        add_flags(parser, PretrainLossConfig)

    @classmethod
    def build_loss(cls, args: argparse.Namespace, task: BaseTask) -> MoleblendPretrainLoss:
        """The objective of ``args``."""
        model = read_flags(args, ModelConfig)
        return cls(task, read_flags(args, PretrainLossConfig), model.distance_max, model.pair_target)

    def logged_names(self) -> list[str]:
        """Names that validation logs, for ``--best-checkpoint-metric``."""
        absent = {"distance", "direction"} - {self.pair_target}  # a model has one of the two heads
        terms = [name for name in SCORES if name not in absent]
        return ["loss", *(f"{term}_loss" for term in terms), *(SCORES[term] for term in terms)]

    def forward(
        self, model: nn.Module, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss (summed over molecules), number of molecules, and what to log."""
        predictions = model(**sample["net_input"])
        objective = pretrain_objective(
            predictions, sample["net_input"], sample["target"], self.config, self.distance_max
        )
        molecules = len(sample["index"])
        loss = objective.total * molecules
        logged: dict[str, Any] = {"loss": loss.detach(), "bsz": molecules, "sample_size": molecules}
        for name, term in objective.terms.items():
            logged[f"{name}_loss"] = term.loss.detach() * molecules
            logged[f"{name}_score"] = term.score.detach()
            logged[f"{name}_counted"] = term.counted
            if self.config.log_term_gnorm and self.training:
                logged[f"{name}_gnorm"] = gradient_norm(term.loss, model) * molecules
        return loss, molecules, logged

    @staticmethod
    def reduce_metrics(logging_outputs: list[dict[str, Any]], split: str = "train") -> None:
        """Average losses over molecules and scores over their targets."""

        def total(key: str) -> float:
            return float(sum(output.get(key, 0) for output in logging_outputs))

        molecules = total("sample_size")
        log_scalar("loss", total("loss") / max(molecules, 1), molecules, round=4)
        for name, score in SCORES.items():
            if not any(f"{name}_loss" in output for output in logging_outputs):
                continue
            log_scalar(f"{name}_loss", total(f"{name}_loss") / max(molecules, 1), molecules, round=4)
            counted = total(f"{name}_counted")
            if counted:
                log_scalar(score, total(f"{name}_score") / counted, counted, round=4)
            if any(f"{name}_gnorm" in output for output in logging_outputs):
                log_scalar(f"{name}_gnorm", total(f"{name}_gnorm") / max(molecules, 1), molecules, round=3)

    @staticmethod
    def logging_outputs_can_be_summed(is_train: bool) -> bool:
        """Every logged value is a number, with the same keys in every batch of a run."""
        return True
