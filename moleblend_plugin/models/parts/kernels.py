"""Operations that have a form for a CPU and one for a GPU: which it is, is asked here and in ``products``.

Both forms give the same numbers to rounding; what is random comes from another stream. What each of them
gains: ``docs/speed.md``. B molecules, T tokens, H heads, D width, d = D / H, P path hops, C codes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moleblend_plugin.models.parts.attention_cpu import OwnGradients

if TYPE_CHECKING:
    from moleblend_plugin.models.packed.places import PackedBias, Places

HAS_TRITON: Final = find_spec("triton") is not None
"""It comes with PyTorch for GPUs on Linux."""

MOST_OF_A_TILE: Final = 64
"""Tokens, and width of a head: beyond it a program needs more registers than there are."""

MANY_IN_PREDICTION: Final = 1 << 23
"""Numbers of the largest input of a batch, five for each pair, from which on it is predicted without padding:
32 molecules of 230 atoms, whose padded biases would take half a gigabyte."""

MANY_PAIRS: Final = 1 << 19
"""Pairs of atoms of a window from which on it is predicted without padding: some 850 molecules
of 25 atoms. A few windows gain what it takes to load the compiler."""

_LEVELS: Final = 1 << 16

AttentionForm = Callable[[Tensor, Tensor, int, float], Tensor]
"""[B, T, D] from queries, keys and values [B, T, 3 D], bias [B, H, T, T], H and the rate of dropout."""


def on_cpu(*tensors: Tensor) -> bool:
    """Whether values can be looked at without waiting for earlier work."""
    return all(tensor.device.type == "cpu" for tensor in tensors)


def product_dtype(like: Tensor) -> torch.dtype:
    """In which a GPU multiplies: a bias is converted once, not in every layer. That of ``like`` on a CPU."""
    device = like.device.type
    if on_cpu(like) or not torch.is_autocast_enabled(device):
        return like.dtype
    return torch.get_autocast_dtype(device)


def sum_of_rows(table: Tensor, codes: Tensor) -> Tensor:
    """Rows of ``table`` [P, C, H] chosen by ``codes`` uint8 [pairs, P], summed over P: [pairs, H]."""
    return looked_up(table, codes) if on_cpu(codes) else multiplied(table, codes)


def looked_up(table: Tensor, codes: Tensor) -> Tensor:
    """:func:`sum_of_rows` on a CPU."""
    first = torch.arange(table.shape[0], dtype=torch.int32, device=codes.device) * table.shape[1]
    total: Tensor = F.embedding_bag(codes.int() + first, table.flatten(0, 1), mode="sum")
    return total


def multiplied(table: Tensor, codes: Tensor) -> Tensor:
    """The same as a matrix product, since a GPU adds up the gradients of so few rows one after the other."""
    every = torch.arange(table.shape[1], dtype=codes.dtype, device=codes.device)
    chosen = (codes[..., None] == every).to(table.dtype)  # [pairs, P, C]
    return chosen.flatten(1) @ table.flatten(0, 1)


def dropout(x: Tensor, p: float) -> Tensor:
    """Dropout in training, on a CPU from :func:`keep_mask`."""
    if not on_cpu(x):
        return F.dropout(x, p)
    keep, scale = keep_mask(x, p)
    return x * keep.to(x.dtype).mul_(scale)


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


def packed() -> ModuleType:
    """``models.packed``, which loads Numba, and which a GPU has no use for."""
    from moleblend_plugin.models.packed import functions as module

    return module


def packs(network: nn.Module, width: int, heads: int, *inputs: Tensor) -> bool:
    """Whether a batch is computed without padding: on a CPU, where ``models.packed`` has a form for all.

    A hook on a part of the network is shown the padded tensors that it is written for. A prediction that is
    soon made does without the compiler, whose import takes longer.

    Args:
        network: with all its parts.
        width: D.
        heads: H; d is a multiple of 8 in the compiled form.
        inputs: of the batch.
    """
    largest = max(part.numel() for part in inputs)
    if not torch.is_grad_enabled() and largest < MANY_IN_PREDICTION and not _MANY.predicted:
        return False
    if torch.compiler.is_compiling() or not on_cpu(*inputs) or not all(part.numel() for part in inputs):
        return False
    if any(part.requires_grad for part in inputs) or (width // heads) % 8:
        return False
    weights = (weight for part in _parts(network) for weight in part._parameters.values())
    doubles = any(weight is not None and weight.dtype == torch.float64 for weight in weights)
    return not doubles and not _is_hooked(network)


def predicts(network: nn.Module, *inputs: Tensor) -> bool:
    """Whether a batch is only predicted, on a CPU, and nothing looks at what happens in between.

    Args:
        network: with all its parts.
        inputs: of the batch.
    """
    if torch.is_grad_enabled() or network.training or torch.compiler.is_compiling():
        return False
    return on_cpu(*inputs) and not _is_hooked(network)


def _is_hooked(network: nn.Module) -> bool:
    return any(part._forward_hooks or part._forward_pre_hooks for part in _parts(network))


def _parts(network: nn.Module) -> list[nn.Module]:
    """``network.modules()``, which takes as long as a layer of a small network, without their names."""
    parts = [network]
    for part in parts:
        parts.extend(child for child in part._modules.values() if child is not None)
    return parts


class _Many(threading.local):
    """Whether this thread is in a block of :func:`many_predicted`."""

    predicted = False


_MANY: Final = _Many()


@contextmanager
def many_predicted(pairs: int) -> Iterator[None]:
    """A block whose batches are predicted without padding if they have enough ``pairs`` of atoms together."""
    before = _MANY.predicted
    _MANY.predicted = before or pairs >= MANY_PAIRS
    try:
        yield
    finally:
        _MANY.predicted = before


def add_and_norm(x: Tensor, branch: Tensor, norm: nn.LayerNorm, rate: float, places: Places | None) -> Tensor:
    """``norm(x + dropout(branch))``.

    Args:
        x: states.
        branch: like them.
        norm: of the last axis.
        rate: of dropout.
        places: of tokens without padding.
    """
    if places is None or not _compiles(x, branch, norm.weight):
        return cast("Tensor", norm(x + (dropout(branch, rate) if rate else branch)))
    out: Tensor = packed().add_and_norm(x, branch, norm.weight, norm.bias, norm.eps, rate, places)
    return out


def gelu_linear(x: Tensor, linear: nn.Linear, rate: float, places: Places | None) -> Tensor:
    """``linear(dropout(gelu(x)))``; see :func:`add_and_norm`."""
    if places is None or not _compiles(x, linear.weight):
        x = F.gelu(x)
        return cast("Tensor", linear(dropout(x, rate) if rate else x))
    out: Tensor = packed().gelu_linear(x, linear.weight, linear.bias, rate, places)
    return out


def _compiles(*tensors: Tensor) -> bool:
    """Whether loops over tokens take all of these: fp32, of a width in whole vectors."""
    return all(tensor.dtype == torch.float32 and tensor.shape[-1] % 8 == 0 for tensor in tensors)


def attention(qkv: Tensor, bias: Tensor | PackedBias, heads: int, dropout: float) -> Tensor:
    """Softmax attention with a bias on its logits, scaled by d ** -0.5; see :data:`AttentionForm`."""
    if not isinstance(bias, Tensor):
        mixed: Tensor = packed().attention(qkv, bias, dropout)
        return mixed
    form: AttentionForm = attention_of_torch
    if on_cpu(qkv) and torch.is_grad_enabled():
        form = attention_on_cpu
    elif HAS_TRITON and qkv.device.type == "cuda" and _fits_a_tile(qkv, heads):
        form = attention_on_gpu
    return form(qkv, bias, heads, dropout)


def _fits_a_tile(qkv: Tensor, heads: int) -> bool:
    return max(qkv.shape[1], qkv.shape[2] // 3 // heads) <= MOST_OF_A_TILE


def attention_of_torch(qkv: Tensor, bias: Tensor, heads: int, dropout: float) -> Tensor:
    """Torch's kernels: for prediction on a CPU, and for what is too large for a tile."""
    batch, tokens, _ = qkv.shape
    q, k, v = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)  # each [B, H, T, d]
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), dropout_p=dropout)
    return mixed.transpose(1, 2).reshape(batch, tokens, -1)


def attention_on_cpu(qkv: Tensor, bias: Tensor, heads: int, dropout: float) -> Tensor:
    """For training on a CPU, where torch has no kernel of its own for a bias with a gradient."""
    keep, rescale = keep_mask(bias, dropout) if dropout else (None, 1.0)
    with torch.autocast("cpu", enabled=False):
        mixed: Tensor = OwnGradients.apply(qkv, bias.float(), keep, heads, rescale)  # type: ignore[no-untyped-call]
        return mixed


def attention_on_gpu(qkv: Tensor, bias: Tensor, heads: int, dropout: float) -> Tensor:
    """For molecules on a GPU: torch's kernels are made for long sequences."""
    from moleblend_plugin.models.parts.attention_triton import fused_attention

    keep, rescale = keep_mask(bias, dropout) if dropout else (None, 1.0)
    return fused_attention(qkv, bias.to(qkv.dtype), keep, heads, rescale)
