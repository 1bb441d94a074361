"""``--loss moleblend_pretrain``: blend-then-predict in the trainer's form."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor, nn

from moleblend_plugin.data.batches.collate import Batch
from moleblend_plugin.host import BaseTask, register_loss
from moleblend_plugin.losses.pretrain import PRETRAIN_TERMS, PretrainLossConfig, pretrain_objective
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.tasks.term_loss import TermLoss, batch_outputs, term_outputs


def gradient_norm(loss: Tensor, model: nn.Module) -> Tensor:
    """Norm of the gradient of ``loss`` alone over all weights; the graph and ``.grad`` stay as they are."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    norms = [torch.linalg.vector_norm(gradient.float()) for gradient in gradients if gradient is not None]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


@register_loss("moleblend_pretrain")
class MoleblendPretrainLoss(TermLoss):
    """Blend-then-predict."""

    CONFIGS = (PretrainLossConfig,)
    terms = PRETRAIN_TERMS

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
        learns = {"descriptor": config.descriptor_weight, "ecfp": config.ecfp_weight}
        unlearned = {name for name, weight in learns.items() if not weight}
        self.absent = frozenset({"distance", "direction"} - {pair_target} | unlearned)

    @classmethod
    def build_loss(cls, args: argparse.Namespace, task: BaseTask) -> MoleblendPretrainLoss:
        """The objective of ``args``."""
        model = read_flags(args, ModelConfig)
        return cls(task, read_flags(args, PretrainLossConfig), model.distance_max, model.pair_target)

    def forward(
        self, model: nn.Module, sample: Batch, reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss (summed over molecules), number of molecules, and what to log."""
        predictions = model(**sample["net_input"])
        objective = pretrain_objective(
            predictions, sample["net_input"], sample["target"], self.config, self.distance_max
        )
        loss, molecules, logged = batch_outputs(objective.total, len(sample["index"]))
        logged |= term_outputs(objective.terms, molecules)
        if self.config.log_term_gnorm and self.training:
            for name, term in objective.terms.items():
                logged[f"{name}_gnorm"] = gradient_norm(term.loss, model) * molecules
        return loss, molecules, logged
