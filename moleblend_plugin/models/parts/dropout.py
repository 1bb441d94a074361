"""Dropout whose random bits are cheap on a CPU, and stochastic depth.

B molecules, T tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 1 << 16


def keep_mask(like: Tensor, p: float) -> tuple[Tensor, float]:
    """Independent draws, true with probability 1 - ``p`` rounded to 1 / 65536, and the reciprocal of that.

    Torch draws one number per element on a CPU, which takes as long as a small matrix product; here every
    number of 64 bits decides four elements.

    Args:
        like: has the shape and the device of the draws.
        p: probability of false.
    """
    dropped = round(p * _LEVELS)
    bits = torch.empty(like.numel() // 4 + 1, dtype=torch.int64, device=like.device).random_(-(1 << 63), None)
    levels = bits.view(torch.int16)[: like.numel()].view(like.shape)  # -32768..32767, all alike
    return levels >= dropped - _LEVELS // 2, _LEVELS / (_LEVELS - dropped)


class Dropout(nn.Module):
    """What ``nn.Dropout`` does, on a CPU from :func:`keep_mask`."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """The shape of ``x``."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        keep, scale = keep_mask(x, self.p)
        return x * keep.to(x.dtype).mul_(scale)

    def extra_repr(self) -> str:
        """The rate."""
        return f"p={self.p:g}"


class DropPath(nn.Module):
    """Stochastic depth: drops a branch for whole molecules, never for token positions (method 6.8)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, branch: Tensor) -> Tensor:
        """[B, T, D], some molecules zeroed in training and the rest scaled up."""
        if not self.training or self.p == 0:
            return branch
        keep = torch.rand(branch.shape[0], 1, 1, device=branch.device) >= self.p
        return branch * (keep / (1 - self.p)).to(branch.dtype)

    def extra_repr(self) -> str:
        """The rate."""
        return f"p={self.p:g}"
