"""Attention with one bias per head and pair.

B molecules, T tokens, H heads, D width.
"""

from __future__ import annotations

from torch import Tensor, nn

from moleblend_plugin.models.parts import kernels


class Attention(nn.Module):
    """Multi-head attention with a bias [B, H, T, T] on its logits; scaled by d ** -0.5."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """[B, T, D]."""
        dropout = self.dropout if self.training else 0.0
        out: Tensor = self.out(kernels.attention(self.qkv(x), bias, self.heads, dropout))
        return out
