"""Products with weights in fp32 where MKL, which torch calls on x86, does not use the processor's vectors.

MKL multiplies with AVX2 on AMD's processors. Those from Zen 5 on are twice as fast with AVX-512, which
oneDNN, also a part of torch, uses on all (``docs/speed_tables.md``). oneDNN compiles a kernel for every size
that it meets, so numbers of rows are rounded up where they can be (:func:`rounded_up`).

M rows, I inputs, O outputs.
"""

from __future__ import annotations

import functools
import platform
import re
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_ZEN_5: Final = 26
"""Family of AMD's processors whose vectors of 512 bits are computed in one step."""

_STEP: Final = 32
"""Rows that numbers of rows are rounded up to."""

_WORTH: Final = 1 << 28
"""Multiplications of a product that takes longer than to compile a kernel for it."""


@functools.cache
def by_onednn() -> bool:
    """Whether oneDNN multiplies here: one answer for a machine, so that runs on it repeat themselves."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # type: ignore[no-untyped-call]
        return False
    return platform.system() == "Linux" and is_wide_amd(_described())


def _described() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").partition("\n\n")[0]
    except OSError:
        return ""


def is_wide_amd(described: str) -> bool:
    """Whether ``/proc/cpuinfo`` describes an AMD processor of Zen 5 or later, with AVX-512."""
    found = dict(re.findall(r"^(\w+(?: \w+)*)\s*:[ ]*(.*)$", described, re.MULTILINE))
    family = found.get("cpu family", "")
    return (
        found.get("vendor_id") == "AuthenticAMD"
        and family.isdecimal()
        and int(family) >= _ZEN_5
        and "avx512f" in found.get("flags", "").split()
    )


def rounded_up(rows: int) -> int:
    """``rows``, or the next of few numbers where oneDNN multiplies: 31 or an eighth more at most."""
    if not by_onednn():
        return rows
    step = max(_STEP, 1 << max(rows.bit_length() - 4, 0))
    return -(-rows // step) * step


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``: [..., O].

    Args:
        x: [..., I].
        weight: [O, I].
        bias: [O].
    """
    if not _takes(x, weight) or (bias is not None and not _takes(bias)):
        return F.linear(x, weight, bias)
    if not _is_worth(x.numel() // x.shape[-1], weight.numel()):
        return F.linear(x, weight, bias)
    out: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return out


def gradient_of_input(grad: Tensor, weight: Tensor) -> Tensor:
    """``grad @ weight``: [M, I] from [M, O] and [O, I]."""
    return _multiplied(grad, weight.T, None) if _is_last(grad, weight) else grad @ weight


def gradient_of_weight(grad: Tensor, x: Tensor) -> Tensor:
    """``grad.T @ x``: [O, I] from [M, O] and [M, I]."""
    if not _is_last(grad, x):
        return grad.T @ x
    if grad.shape[1] > x.shape[1]:  # the wider one is read as it lies
        return _multiplied(x.T, grad.T, None).T
    return _multiplied(grad.T, x.T, None)


def _is_last(grad: Tensor, factor: Tensor) -> bool:
    """Whether oneDNN multiplies: not where a gradient of the gradient is wanted, which it does not give."""
    again = torch.is_grad_enabled() and (grad.requires_grad or factor.requires_grad)
    return not again and _takes(grad, factor) and _is_worth(len(grad), grad.shape[-1] * factor.shape[-1])


def shifted_product(bias: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a @ b.T`` of every molecule, and ``bias`` to every O neighbours: [G, M, N].

    Args:
        bias: [O], where N is a multiple of O.
        a: [G, M, I].
        b: [G, N, I].
    """
    if a.device.type != "cpu" or torch.compiler.is_compiling() or _is_transformed():
        # Of autocast's half precision on a GPU the sum is made in full.
        return a @ b.transpose(1, 2) + bias.to(a.dtype).repeat(b.shape[1] // len(bias))
    out: Tensor = _ShiftedProduct.apply(bias, a, b)  # type: ignore[no-untyped-call]
    return out


class Linear(nn.Linear):
    """``nn.Linear`` by :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., O] from [..., I]."""
        return linear(x, self.weight, self.bias)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ANN401
        """[..., O]."""
        ctx.save_for_backward(x, weight)
        return _multiplied(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of all three, in a form that has gradients where they are wanted too."""
        x, weight = ctx.saved_tensors
        by_rows = grad.reshape(-1, grad.shape[-1])
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            gradient_of_input(by_rows, weight).view_as(x) if of_x else None,
            gradient_of_weight(by_rows, x.reshape(-1, x.shape[-1])) if of_weight else None,
            by_rows.sum(0) if of_bias else None,
        )


class _ShiftedProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bias: Tensor, a: Tensor, b: Tensor) -> Tensor:  # noqa: ANN401
        """[G, M, N]; the bias is added where the product is written."""
        b = b.to(a.dtype)
        ctx.save_for_backward(bias, a, b)
        shift = bias.to(a.dtype).repeat(b.shape[1] // len(bias))
        return torch.baddbmm(shift, a, b.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401
        """Of all three; autograd would make that of ``b`` lie the other way round, and copy it."""
        bias, a, b = ctx.saved_tensors
        by_bias = grad.sum((0, 1)).view(-1, len(bias)).sum(0).to(bias.dtype)
        return by_bias, _one_by_one(grad, b), torch.bmm(grad.transpose(1, 2), a)


def _one_by_one(a: Tensor, b: Tensor) -> Tensor:
    """``torch.bmm``, by oneDNN in half the time where the inner axis is long."""
    if torch.is_grad_enabled() or not len(a) or not _takes(a, b):
        return torch.bmm(a, b)
    return torch.stack([_multiplied(one, other.T, None) for one, other in zip(a, b, strict=True)])


def _multiplied(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not (weight.is_contiguous() or weight.T.is_contiguous()):  # oneDNN would multiply number by number
        weight = weight.contiguous()
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


def _takes(*tensors: Tensor) -> bool:
    """Whether oneDNN multiplies these: plain fp32 on a CPU, outside of autocast and of what traces torch."""
    if torch.compiler.is_compiling() or not by_onednn() or torch.is_autocast_enabled("cpu"):
        return False
    if torch._C._get_tracing_state() is not None or _is_transformed():
        return False
    plain = all(type(each) in (Tensor, nn.Parameter) for each in tensors)
    return plain and all(each.dtype == torch.float32 and each.device.type == "cpu" for each in tensors)


def _is_transformed() -> bool:
    """Whether this runs inside of ``torch.func``, which asks more of a function than gradients."""
    peek = getattr(torch._C._functorch, "peek_interpreter_stack", None)
    return peek is not None and peek() is not None


def _is_worth(rows: int, others: int) -> bool:
    """Whether a kernel for this many rows is there already, most likely, or is soon paid for.

    Batches of 32 molecules, and packed ones, have a multiple of 32 rows.
    """
    return bool(rows) and (rows % _STEP == 0 or rows * others >= _WORTH)
