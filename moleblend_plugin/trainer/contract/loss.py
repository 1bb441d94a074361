"""Base class of losses, with the contract of Uni-Core's ``UnicoreLoss``."""

from __future__ import annotations

import inspect
from argparse import ArgumentParser, Namespace
from typing import Any

import torch
from torch import nn

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.contract.registry import HasArgs, base_of

LoggingOutput = dict[str, Any]
"""What a loss reports about one batch: ``bsz``, ``loss``, ``sample_size`` and sums of its terms."""

StepOutput = tuple[torch.Tensor, "int | torch.Tensor", LoggingOutput]
"""(loss summed over the samples, number of samples, logging output)."""


@base_of("loss")
class BaseLoss(nn.Module):
    """A training objective that the command line can choose.

    Args:
        task: the task that the loss belongs to.
    """

    args: Namespace

    def __init__(self, task: HasArgs) -> None:
        super().__init__()
        self.task = task
        if task is not None:
            self.args = task.args

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """Declare the loss's options."""

    @classmethod
    def build_loss(cls, args: Namespace, task: Any) -> BaseLoss:  # noqa: ANN401  each names its own
        """Build the loss; constructor parameters are filled by name: ``task``, ``args``, then options.

        Raises:
            MoleblendError: a parameter has neither an option of its name nor a default.
        """
        filled: dict[str, Any] = {}
        for name, parameter in inspect.signature(cls).parameters.items():
            if name == "task":
                filled[name] = task
            elif name == "args":
                filled[name] = args
            elif hasattr(args, name):
                filled[name] = getattr(args, name)
            elif parameter.default is parameter.empty:
                flag = "--" + name.replace("_", "-")
                raise MoleblendError(f"loss {cls.__name__} needs {name!r}: declare {flag} in its add_args")
        return cls(**filled)

    def forward(self, model: nn.Module, sample: Any, reduce: bool = True) -> StepOutput:  # noqa: ANN401
        """Loss of one batch: (loss summed over samples, number of samples, logging output)."""
        raise NotImplementedError

    @staticmethod
    def reduce_metrics(logging_outputs: list[LoggingOutput], split: str = "train") -> None:
        """Log the metrics of several batches with ``log_scalar``; must log ``loss``."""
        raise NotImplementedError

    @staticmethod
    def logging_outputs_can_be_summed(is_train: bool) -> bool:
        """Whether logging outputs hold only numbers that may be summed over batches and processes."""
        return False
