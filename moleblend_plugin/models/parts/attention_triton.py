"""Attention with a bias on a GPU: a molecule fits into one tile, so a program does one head of it (Triton).

Torch's kernels for a bias with a gradient are made for long sequences (figures: ``docs/speed.md``).
B molecules, T tokens, H heads, d width of a head, D = H d.
"""

# ruff: noqa: ANN401  Triton has types of its own

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _tile(part: Any, rows: Any, columns: Any, tokens: Any, width: tl.constexpr, stride: tl.constexpr) -> Any:
    """[T, d] of one head, zero beyond."""
    inside = (rows[:, None] < tokens) & (columns[None, :] < width)
    return tl.load(part + rows[:, None] * stride + columns[None, :], mask=inside, other=0.0)


@triton.jit
def _put(
    part: Any, values: Any, rows: Any, columns: Any, tokens: Any, width: tl.constexpr, stride: tl.constexpr
) -> None:
    inside = (rows[:, None] < tokens) & (columns[None, :] < width)
    at = part + rows[:, None] * stride + columns[None, :]
    tl.store(at, values.to(part.dtype.element_ty), mask=inside)


@triton.jit
def _probabilities(q: Any, k: Any, bias: Any, rows: Any, tokens: Any, scale: Any) -> Any:
    """Softmax fp32 [T, T] of one head; columns beyond T are 0."""
    square = rows[:, None] * tokens + rows[None, :]
    inside = (rows[:, None] < tokens) & (rows[None, :] < tokens)
    logits = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
    logits += tl.load(bias + square, mask=inside, other=0.0).to(tl.float32)
    logits = tl.where(rows[None, :] < tokens, logits, float("-inf"))
    exponents = tl.exp(logits - tl.max(logits, 1)[:, None])
    return exponents / tl.sum(exponents, 1)[:, None]


@triton.jit
def _dropped(values: Any, keep: Any, rows: Any, tokens: Any, rescale: Any, dropping: tl.constexpr) -> Any:
    """What dropout leaves of [T, T]."""
    if dropping:
        inside = (rows[:, None] < tokens) & (rows[None, :] < tokens)
        square = rows[:, None] * tokens + rows[None, :]
        values = values * (tl.load(keep + square, mask=inside, other=0).to(tl.float32) * rescale)
    return values


@triton.jit
def _forward(
    qkv: Any,
    bias: Any,
    keep: Any,
    mixed: Any,
    tokens: Any,
    scale: Any,
    rescale: Any,
    heads: tl.constexpr,
    width: tl.constexpr,
    tile_tokens: tl.constexpr,
    tile_width: tl.constexpr,
    dropping: tl.constexpr,
) -> None:
    number = tl.program_id(0).to(tl.int64)
    molecule, head = number // heads, number % heads
    joined: tl.constexpr = heads * width
    rows, columns = tl.arange(0, tile_tokens), tl.arange(0, tile_width)
    parts = qkv + molecule * tokens * 3 * joined + head * width
    q = _tile(parts, rows, columns, tokens, width, 3 * joined)
    k = _tile(parts + joined, rows, columns, tokens, width, 3 * joined)
    v = _tile(parts + 2 * joined, rows, columns, tokens, width, 3 * joined)
    pairs = number * tokens * tokens
    probs = _probabilities(q, k, bias + pairs, rows, tokens, scale)
    probs = _dropped(probs, keep + pairs, rows, tokens, rescale, dropping)
    out = tl.dot(probs.to(v.dtype), v, input_precision="ieee")
    _put(mixed + molecule * tokens * joined + head * width, out, rows, columns, tokens, width, joined)


@triton.jit
def _backward(
    qkv: Any,
    bias: Any,
    keep: Any,
    by_mixed: Any,
    by_qkv: Any,
    by_bias: Any,
    tokens: Any,
    scale: Any,
    rescale: Any,
    heads: tl.constexpr,
    width: tl.constexpr,
    tile_tokens: tl.constexpr,
    tile_width: tl.constexpr,
    dropping: tl.constexpr,
) -> None:
    number = tl.program_id(0).to(tl.int64)
    molecule, head = number // heads, number % heads
    joined: tl.constexpr = heads * width
    rows, columns = tl.arange(0, tile_tokens), tl.arange(0, tile_width)
    start = molecule * tokens * 3 * joined + head * width
    parts = qkv + start
    q = _tile(parts, rows, columns, tokens, width, 3 * joined)
    k = _tile(parts + joined, rows, columns, tokens, width, 3 * joined)
    v = _tile(parts + 2 * joined, rows, columns, tokens, width, 3 * joined)
    given = by_mixed + molecule * tokens * joined + head * width
    grad = _tile(given, rows, columns, tokens, width, joined)
    pairs = number * tokens * tokens
    probs = _probabilities(q, k, bias + pairs, rows, tokens, scale)
    dropped = _dropped(probs, keep + pairs, rows, tokens, rescale, dropping)
    by_v = tl.dot(tl.trans(dropped.to(v.dtype)), grad, input_precision="ieee")
    by_probs = tl.dot(grad, tl.trans(v), input_precision="ieee")
    by_probs = _dropped(by_probs, keep + pairs, rows, tokens, rescale, dropping)
    by_logits = probs * (by_probs - tl.sum(probs * by_probs, 1)[:, None])
    inside = (rows[:, None] < tokens) & (rows[None, :] < tokens)
    square = pairs + rows[:, None] * tokens + rows[None, :]
    tl.store(by_bias + square, by_logits.to(by_bias.dtype.element_ty), mask=inside)
    half = by_logits.to(q.dtype)
    by_q = tl.dot(half, k, input_precision="ieee") * scale
    by_k = tl.dot(tl.trans(half), q, input_precision="ieee") * scale
    out = by_qkv + start
    _put(out, by_q, rows, columns, tokens, width, 3 * joined)
    _put(out + joined, by_k, rows, columns, tokens, width, 3 * joined)
    _put(out + 2 * joined, by_v, rows, columns, tokens, width, 3 * joined)


_INPUTS = "Tensor qkv, Tensor bias, Tensor? keep, int heads, float rescale"


@torch.library.custom_op("moleblend::attention", mutates_args=(), schema=f"({_INPUTS}) -> Tensor")
def _attention(qkv: Tensor, bias: Tensor, keep: Tensor | None, heads: int, rescale: float) -> Tensor:
    """An operator of its own, so that ``torch.compile`` takes it as it is."""
    mixed = qkv.new_empty(qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3)
    grid, numbers, sizes = _launch(qkv, heads, rescale, keep)
    _forward[grid](qkv, bias, _bytes(keep, bias), mixed, *numbers, **sizes)
    return mixed


@_attention.register_fake
def _(qkv: Tensor, bias: Tensor, keep: Tensor | None, heads: int, rescale: float) -> Tensor:
    return qkv.new_empty(qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3)


@torch.library.custom_op(
    "moleblend::attention_backward", mutates_args=(), schema=f"(Tensor grad, {_INPUTS}) -> (Tensor, Tensor)"
)
def _attention_backward(
    grad: Tensor, qkv: Tensor, bias: Tensor, keep: Tensor | None, heads: int, rescale: float
) -> tuple[Tensor, Tensor]:
    by_qkv, by_bias = torch.empty_like(qkv), torch.empty_like(bias)
    grid, numbers, sizes = _launch(qkv, heads, rescale, keep)
    _backward[grid](qkv, bias, _bytes(keep, bias), grad, by_qkv, by_bias, *numbers, **sizes)
    return by_qkv, by_bias


@_attention_backward.register_fake
def _(
    grad: Tensor, qkv: Tensor, bias: Tensor, keep: Tensor | None, heads: int, rescale: float
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(qkv), torch.empty_like(bias)


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    qkv, bias, keep, ctx.heads, ctx.rescale = inputs
    ctx.save_for_backward(qkv, bias, keep)  # the probabilities are computed again


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
    qkv, bias, keep = ctx.saved_tensors
    given = (grad.contiguous(), qkv, bias, keep, ctx.heads, ctx.rescale)
    by_qkv, by_bias = _attention_backward(*given)
    return by_qkv, by_bias, None, None, None


_attention.register_autograd(_gradients, setup_context=_keep_inputs)


def _bytes(keep: Tensor | None, stand_in: Tensor) -> Tensor:
    return stand_in if keep is None else keep.view(torch.uint8)


def _launch(
    qkv: Tensor, heads: int, rescale: float, keep: Tensor | None
) -> tuple[tuple[int], tuple[float, ...], dict[str, int]]:
    """Grid, numbers and sizes of either kernel."""
    batch, tokens, three = qkv.shape
    width = three // 3 // heads
    tile = max(16, triton.next_power_of_2(tokens))
    sizes = {
        "heads": heads,
        "width": width,
        "tile_tokens": tile,
        "tile_width": max(16, triton.next_power_of_2(width)),
        "dropping": keep is not None,
        "num_warps": max(2, tile // 16),
    }
    return (batch * heads,), (tokens, width**-0.5, rescale), sizes


def fused_attention(qkv: Tensor, bias: Tensor, keep: Tensor | None, heads: int, rescale: float) -> Tensor:
    """Softmax attention [B, T, D] with the bias added to the logits, which are scaled by d ** -0.5.

    Args:
        qkv: queries, keys and values [B, T, 3 D]; T and d of some tens.
        bias: [B, H, T, T]; -inf hides a key, not all of a row.
        keep: which probabilities dropout keeps, bool [B, H, T, T].
        heads: H.
        rescale: of those that are kept.
    """
    mixed: Tensor = _attention(qkv.contiguous(), bias.contiguous(), keep, heads, rescale)
    return mixed
