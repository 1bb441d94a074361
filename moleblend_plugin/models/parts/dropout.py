"""Dropout and stochastic depth.

B molecules, T tokens, D width.
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

    def forward(self, x: Tensor) -> Tensor:
        """The shape of ``x``."""
        return kernels.dropout(x, self.p) if self.training and self.p else x

    def extra_repr(self) -> str:
        """The rate."""
        return f"p={self.p:g}"


class DropPath(Dropout):
    """Stochastic depth: drops a branch for whole molecules, never for token positions (method 6.8)."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D], some molecules zeroed in training and the rest scaled up."""
        if not self.training or self.p == 0:
            return x
        keep = torch.rand(x.shape[0], 1, 1, device=x.device) >= self.p
        return x * (keep / (1 - self.p)).to(x.dtype)
