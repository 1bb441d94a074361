"""Module A of MMSA-style (reconstructed) pretraining: views -> one unified embedding per molecule.

B molecules, V views. x features of views, c codes, u unified embedding (docs/structure_aware.md,
"The objective").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn


def in_fp32(module: nn.Module, x: Tensor) -> Tensor:
    """fp32 output of ``module``, computed in the type of its weights, whatever the precision of the run."""
    weight = next(module.parameters())
    with torch.autocast(x.device.type, enabled=False):
        out: Tensor = module(x.to(weight.dtype))
        return out.float()


def tanh_layer(inputs: int, outputs: int) -> list[nn.Module]:
    """Linear and tanh, begun by Glorot's rule: after torch's own, codes are nearly alike at first."""
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return [linear, nn.Tanh()]


class ViewHeads(nn.Module):
    """``x = tanh(W LN(h) + b)`` for each view.

    Args:
        widths: of the views' features h, [V].
        outputs: width of x.
    """

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), *tanh_layer(width, outputs)) for width in widths
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """fp32 [B, V, x] from V tensors [B, width]."""
        return torch.stack([in_fp32(head, h) for head, h in zip(self.heads, features, strict=True)], dim=1)


class AutoEncoders(nn.Module):
    """``c = tanh(U x + b)`` and ``tanh(V c + b)`` for each view; one pair for all of them if ``shared``."""

    def __init__(self, views: int, width: int, code: int, shared: bool) -> None:
        super().__init__()
        count = 1 if shared else views
        encoders = [nn.Sequential(*tanh_layer(width, code)) for _ in range(count)]
        decoders = [nn.Sequential(*tanh_layer(code, width)) for _ in range(count)]
        self.encoders = nn.ModuleList(encoders * (views // count))
        self.decoders = nn.ModuleList(decoders * (views // count))

    def encode(self, x: Tensor) -> Tensor:
        """Codes [B, V, c] of features [B, V, x]."""
        return torch.stack([in_fp32(encoder, x[:, v]) for v, encoder in enumerate(self.encoders)], dim=1)

    def decode(self, code: Tensor) -> Tensor:
        """Features [B, V, x] rebuilt from the codes [B, V, c] in each view's place."""
        return torch.stack([in_fp32(decoder, code[:, v]) for v, decoder in enumerate(self.decoders)], dim=1)


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Linear, ReLU, linear."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class MeanFusion(nn.Module):
    """Mean of the codes that are there."""

    def __init__(self, views: int, code: int) -> None:
        super().__init__()

    def forward(self, code: Tensor, there: Tensor) -> Tensor:
        """[B, c] from codes [B, V, c] and bool [B, V]; 0 where none is there."""
        total = torch.where(there[..., None], code, 0.0).sum(1)
        return total / there.sum(1, keepdim=True).clamp(min=1)


class ConcatFusion(nn.Module):
    """A network on all codes side by side, zeros for those that are missing, and on which are there."""

    def __init__(self, views: int, code: int) -> None:
        super().__init__()
        self.mix = mlp(views * (code + 1), 2 * code, code)

    def forward(self, code: Tensor, there: Tensor) -> Tensor:
        """[B, c] from codes [B, V, c] and bool [B, V]."""
        known = torch.where(there[..., None], code, 0.0)
        return torch.tanh(in_fp32(self.mix, torch.cat((known.flatten(1), there.to(known.dtype)), dim=1)))


class GatedFusion(nn.Module):
    """Weighted mean of the codes that are there; the weights are a softmax of a learned score."""

    def __init__(self, views: int, code: int) -> None:
        super().__init__()
        self.score = nn.Linear(code, 1)

    def forward(self, code: Tensor, there: Tensor) -> Tensor:
        """[B, c] from codes [B, V, c] and bool [B, V]; 0 where none is there."""
        scores = in_fp32(self.score, code)[..., 0].masked_fill(~there, -1e9)
        weights = torch.where(there, scores.softmax(1), 0.0)
        return (weights[..., None] * code).sum(1)


FUSIONS: Final[dict[str, Callable[[int, int], nn.Module]]] = {
    "mean": MeanFusion,
    "concat": ConcatFusion,
    "gated": GatedFusion,
}
"""``--fusion``."""
