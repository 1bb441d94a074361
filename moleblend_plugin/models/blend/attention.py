"""Attention with one bias per head and pair.

B molecules, T tokens, H heads, D width, d = D / H.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moleblend_plugin.models.parts.autocast import without_autocast
from moleblend_plugin.models.parts.dropout import keep_mask

HAS_TRITON: Final = find_spec("triton") is not None
"""It comes with PyTorch for GPUs on Linux."""

MOST_OF_A_TILE: Final = 64
"""Tokens, and width of a head: beyond it a program needs more registers than there are."""


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
        qkv = self.qkv(x)
        if x.device.type == "cpu":
            attend = _attend_on_cpu if torch.is_grad_enabled() else _attend
        else:
            attend = _attend_on_gpu if _fits_a_tile(x, self.heads) else _attend
        out: Tensor = self.out(attend(qkv, bias, self.heads, dropout))
        return out


def _fits_a_tile(x: Tensor, heads: int) -> bool:
    most = max(x.shape[1], x.shape[2] // heads)
    return HAS_TRITON and x.device.type == "cuda" and most <= MOST_OF_A_TILE


def _attend(qkv: Tensor, bias: Tensor, heads: int, dropout: float) -> Tensor:
    """[B, T, D] from queries, keys and values [B, T, 3 D] and the bias [B, H, T, T]: torch's kernels."""
    batch, tokens, _ = qkv.shape
    q, k, v = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)  # each [B, H, T, d]
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), dropout_p=dropout)
    return mixed.transpose(1, 2).reshape(batch, tokens, -1)


def _attend_on_gpu(qkv: Tensor, bias: Tensor, heads: int, dropout: float) -> Tensor:
    """The same for molecules: torch's kernels are made for long sequences."""
    from moleblend_plugin.models.blend.attention_triton import fused_attention

    return fused_attention(qkv, bias.to(qkv.dtype), heads, dropout)


def _attend_on_cpu(qkv: Tensor, bias: Tensor, heads: int, dropout: float) -> Tensor:
    """The same for training on a CPU, where torch has no kernel of its own for a bias with a gradient."""
    with torch.autocast("cpu", enabled=False):
        mixed: Tensor = _Attention.apply(qkv, bias.float(), heads, dropout)  # type: ignore[no-untyped-call]
        return mixed


class _Attention(torch.autograd.Function):
    """Softmax attention in fp32 with written-out gradients: what is kept for them is a third smaller.

    Kept are queries, keys and values in the order in which they are multiplied, the probabilities, and which
    of them dropout keeps, one byte each.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch's own
        qkv: Tensor,
        bias: Tensor,
        heads: int,
        dropout: float,
    ) -> Tensor:
        """[B, T, D] from [B, T, 3 D] and the bias fp32 [B, H, T, T]."""
        batch, tokens, width = qkv.shape
        parts = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)  # [3, B, H, T, d]
        packed = torch.empty(parts.shape, dtype=torch.float32).copy_(parts).flatten(1, 2)
        q, k, v = packed  # each [B * H, T, d]
        scale = q.shape[-1] ** -0.5
        probs = torch.baddbmm(bias.flatten(0, 1), q, k.transpose(1, 2), alpha=scale).softmax(-1)
        keep, rescale = keep_mask(probs, dropout) if dropout else (None, 1.0)
        ctx.save_for_backward(packed, probs, keep)
        ctx.scale, ctx.rescale = scale, rescale
        mixed = torch.bmm(_dropped(probs, keep, rescale), v).view(batch, heads, tokens, -1)
        return mixed.transpose(1, 2).reshape(batch, tokens, width // 3).to(qkv.dtype)

    @staticmethod
    @without_autocast
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:  # noqa: ANN401  torch's
        """Gradients of ``qkv`` and ``bias``."""
        packed, probs, keep = ctx.saved_tensors
        q, k, v = packed
        batch, tokens, width = grad.shape
        heads = q.shape[0] // batch
        by_head = grad.view(batch, tokens, heads, -1).transpose(1, 2)
        by_mixed = torch.empty(by_head.shape, dtype=torch.float32).copy_(by_head).flatten(0, 1)
        by_packed = torch.empty_like(packed)
        torch.bmm(_dropped(probs, keep, ctx.rescale).transpose(1, 2), by_mixed, out=by_packed[2])
        by_logits = _dropped(torch.bmm(by_mixed, v.transpose(1, 2)), keep, ctx.rescale).mul_(probs)
        by_logits.addcmul_(probs, by_logits.sum(-1, keepdim=True), value=-1)
        torch.bmm(by_logits, k, out=by_packed[0])
        torch.bmm(by_logits.transpose(1, 2), q, out=by_packed[1])
        by_packed[:2].mul_(ctx.scale)
        by_parts = by_packed.view(3, batch, heads, tokens, -1).permute(1, 3, 0, 2, 4)
        by_qkv = torch.empty(by_parts.shape, dtype=grad.dtype).copy_(by_parts)
        return by_qkv.view(batch, tokens, 3 * width), by_logits.view(batch, heads, tokens, tokens), None, None


def _dropped(values: Tensor, keep: Tensor | None, rescale: float) -> Tensor:
    return values if keep is None else (values * keep).mul_(rescale)
