"""Dropout and stochastic depth.

B molecules, T tokens, S tokens of all molecules, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moleblend_plugin.models.parts import kernels


class Dropout(nn.Module):
    """What ``nn.Dropout`` does, by ``kernels.dropout``."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    @property
    def rate(self) -> float:
        """The one in force: 0 but in training."""
        return self.p if self.training else 0.0

    def forward(self, x: Tensor) -> Tensor:
        """The shape of ``x``."""
        return kernels.dropout(x, self.rate) if self.rate else x

    def extra_repr(self) -> str:
        """The rate."""
        return f"p={self.p:g}"


class DropPath(Dropout):
    """Stochastic depth: drops a branch for whole molecules, never for token positions (method 6.8)."""

    def forward(self, x: Tensor, molecules: Tensor | None = None) -> Tensor:
        """[B, T, D], some molecules zeroed in training and the rest scaled up.

        Args:
            x: states, or [S, D] without padding.
            molecules: then the molecule of every token, int64 [S], in order.
        """
        if not self.rate:
            return x
        if molecules is not None:
            draws = torch.rand(int(molecules[-1]) + 1, 1, device=x.device)[molecules]
        else:
            draws = torch.rand(x.shape[0], 1, 1, device=x.device)
        keep = draws >= self.p
        return x * (keep / (1 - self.p)).to(x.dtype)
