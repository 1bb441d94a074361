"""Layer-wise learning rates without parameter groups, which Uni-Core's optimiser does not offer."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from types import TracebackType

import torch
from torch import nn

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import HOST


class LayerDecay:
    """A block around an optimiser's step that shortens it for lower layers.

    The step of a parameter is scaled by ``decay ** depth``. Adam's update with decoupled weight decay is
    linear in the learning rate, and its moments do not depend on it, so this equals a learning rate of
    ``lr * decay ** depth`` for that layer.

    Args:
        depths: parameters, with their depth from the top.
        decay: 0 < decay <= 1.
    """

    def __init__(self, depths: Iterable[tuple[nn.Parameter, int]], decay: float) -> None:
        self._groups: dict[float, list[torch.Tensor]] = {}
        for parameter, depth in depths:
            if depth > 0 and parameter.requires_grad:
                self._groups.setdefault(decay**depth, []).append(parameter)
        self._before: dict[float, list[torch.Tensor]] = {}

    @torch.no_grad()
    def __enter__(self) -> None:
        self._before = {
            scale: [parameter.detach().clone() for parameter in parameters]
            for scale, parameters in self._groups.items()
        }

    @torch.no_grad()
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for scale, before in self._before.items():
            after = self._groups[scale]
            torch._foreach_lerp_(before, after, scale)
            torch._foreach_copy_(after, before)
        self._before = {}


def check_scaled_steps(args: Namespace, flag: str, host: str = HOST) -> None:
    """Refuse a :class:`LayerDecay` that the optimiser's step would not feel.

    Args:
        args: the run's options.
        flag: which asks for it.
        host: "unicore" or "embedded".

    Raises:
        MoleblendError: half precision under Uni-Core.
    """
    half = [f"--{name}" for name in ("fp16", "bf16") if getattr(args, name)]
    if half and host == "unicore":
        raise MoleblendError(
            f"{flag} with {half[0]} is not possible under Uni-Core, whose optimiser keeps fp32 copies of its "
            "own: train in fp32, or with moleblend-train"
        )
