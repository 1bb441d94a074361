"""What stands for Lightning Fabric where one process trains in float32 on the CPU.

With one process, one device that needs no setting up and one precision there is nothing to wrap: a call of
the model is a call of the model. So both give the same numbers, and this starts without importing Fabric.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Same = TypeVar("_Same")


class OneProcess:
    """The part of ``lightning_fabric.Fabric`` that the trainer uses, under its names.

    Args:
        device: the CPU.
    """

    world_size: Final = 1
    global_rank: Final = 0
    local_rank: Final = 0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def launch(
        self,
        function: Callable[Concatenate[OneProcess, _P], _R] | None = None,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _R | None:
        """Call ``function`` here."""
        return None if function is None else function(self, *args, **kwargs)

    def setup_module(self, module: nn.Module) -> nn.Module:
        """The module on the device, unwrapped."""
        return module.to(self.device)

    def setup_optimizers(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimiser as it is."""
        return optimizer

    def to_device(self, batch: _Same) -> _Same:
        """The batch, which is there."""
        return batch

    def autocast(self) -> AbstractContextManager[None]:
        """A block in which nothing is cast."""
        return nullcontext()

    def no_backward_sync(self, module: nn.Module, enabled: bool = True) -> AbstractContextManager[None]:
        """A block in which gradients are not exchanged, as ever."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Run backward."""
        loss.backward()  # type: ignore[no-untyped-call]

    def all_reduce(self, value: Tensor, reduce_op: str = "mean") -> Any:  # noqa: ANN401  as Fabric's
        """The value of all processes, which is this one's."""
        return value

    def barrier(self) -> None:
        """Nobody to wait for."""
