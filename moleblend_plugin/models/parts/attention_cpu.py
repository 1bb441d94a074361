"""Attention with a bias for training on a CPU. B molecules, T tokens, H heads, D width, d = D / H."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class OwnGradients(torch.autograd.Function):
    """Softmax attention in fp32 with written-out gradients: what is kept for them is a third smaller.

    Kept are queries, keys and values in the order in which they are multiplied, the probabilities, and which
    of them dropout keeps, one byte each.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch's own
        qkv: Tensor,
        bias: Tensor,
        keep: Tensor | None,
        heads: int,
        rescale: float,
    ) -> Tensor:
        """[B, T, D] from [B, T, 3 D], the bias fp32 and what dropout keeps, each [B, H, T, T]."""
        batch, tokens, width = qkv.shape
        parts = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)  # [3, B, H, T, d]
        packed = torch.empty(parts.shape, dtype=torch.float32).copy_(parts).flatten(1, 2)
        q, k, v = packed  # each [B * H, T, d]
        scale = q.shape[-1] ** -0.5
        probs = torch.baddbmm(bias.flatten(0, 1), q, k.transpose(1, 2), alpha=scale).softmax(-1)
        keep = None if keep is None else keep.view(probs.shape)
        ctx.save_for_backward(packed, probs, keep)
        ctx.scale, ctx.rescale = scale, rescale
        mixed = torch.bmm(_dropped(probs, keep, rescale), v).view(batch, heads, tokens, -1)
        return mixed.transpose(1, 2).reshape(batch, tokens, width // 3).to(qkv.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # noqa: ANN401  torch's
        """Gradients of ``qkv`` and ``bias``, in fp32 also where ``backward`` is called inside of autocast."""
        packed, probs, keep = ctx.saved_tensors
        q, k, v = packed
        batch, tokens, width = grad.shape
        heads = q.shape[0] // batch
        by_head = grad.view(batch, tokens, heads, -1).transpose(1, 2)
        by_mixed = torch.empty(by_head.shape, dtype=torch.float32).copy_(by_head).flatten(0, 1)
        by_packed = torch.empty_like(packed)
        with torch.autocast("cpu", enabled=False):
            torch.bmm(_dropped(probs, keep, ctx.rescale).transpose(1, 2), by_mixed, out=by_packed[2])
            by_logits = _dropped(torch.bmm(by_mixed, v.transpose(1, 2)), keep, ctx.rescale).mul_(probs)
            by_logits.addcmul_(probs, by_logits.sum(-1, keepdim=True), value=-1)
            torch.bmm(by_logits, k, out=by_packed[0])
            torch.bmm(by_logits.transpose(1, 2), q, out=by_packed[1])
        by_packed[:2].mul_(ctx.scale)
        by_parts = by_packed.view(3, batch, heads, tokens, -1).permute(1, 3, 0, 2, 4)
        by_qkv = torch.empty(by_parts.shape, dtype=grad.dtype).copy_(by_parts).view(batch, tokens, 3 * width)
        return by_qkv, by_logits.view(batch, heads, tokens, tokens), None, None, None


def _dropped(values: Tensor, keep: Tensor | None, rescale: float) -> Tensor:
    return values if keep is None else (values * keep).mul_(rescale)
