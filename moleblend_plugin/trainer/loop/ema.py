"""Exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.loop.sharding import shared_out_like


class MovingAverage:
    """fp32 averages of a model's parameters; buffers are the model's own.

    Args:
        model: the model to follow.
        decay: share that stays of the old average at each update.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self.start_again()

    def start_again(self) -> None:
        """Take the model's present weights as the average."""
        self.average = {name: p.detach().clone().float() for name, p in self.model.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the model's present weights."""
        for name, parameter in self.model.named_parameters():
            self.average[name].lerp_(parameter.float(), 1 - self.decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights inside the block.

        Weights are exchanged in place rather than in a copy of the model, since modules may hold references
        that copying does not follow.
        """
        live = {name: parameter.detach().clone() for name, parameter in self.model.named_parameters()}
        self._assign(self.average)
        try:
            yield
        finally:
            self._assign(live)

    @torch.no_grad()
    def _assign(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(values[name])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: a complete state dict of the model, averaged, and the decay."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        params = {name: value.detach() for name, value in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters(remove_duplicate=False):
            params[name] = self.average[names[id(parameter)]]
        return {"params": params, "decay": self.decay}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the average of a checkpoint; the command's decay stays.

        Raises:
            MoleblendError: the checkpoint lacks a parameter.
        """
        params = state["params"]
        missing = [name for name in self.average if name not in params]
        if missing:
            raise MoleblendError(
                f"the checkpoint's moving average lacks {missing[0]!r}: the architectures differ"
            )
        for name, average in self.average.items():
            average.copy_(shared_out_like(params[name], average))
