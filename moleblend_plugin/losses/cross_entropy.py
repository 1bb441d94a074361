"""Cross entropy of many rows with a gradient of its own.

R rows, C classes, K of them with a share of a row's target.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor

_WORTH: Final = 1 << 16
"""Logits on a CPU from which on compiled loops score them."""


def cross_entropy_sum(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Sum of ``-weight * log softmax`` at given classes, a scalar in fp32.

    Autograd would fill a tensor of zeros for the targets first, and pass over all logits four times. On a CPU
    rows whose weights are 0 take no time.

    Args:
        logits: [R, C].
        classes: int64 [R, K], which differ within a row.
        weights: fp32 [R, K], constants of 0 or more.

    Raises:
        IndexError, RuntimeError: a class outside of 0 to C - 1.
    """
    if _is_worth_loops(logits):
        return _by_loops(logits, classes, weights)[0]
    return _by_torch(logits, classes, weights)


def cross_entropy_and_hits(logits: Tensor, classes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`cross_entropy_sum`, and of how many rows that count the first class is most likely (int64)."""
    if _is_worth_loops(logits):
        return _by_loops(logits, classes, weights)
    first = (logits.detach().argmax(-1) == classes[:, 0]) & (weights.sum(-1) != 0)
    return _by_torch(logits, classes, weights), first.sum()


def _is_worth_loops(logits: Tensor) -> bool:
    import torch

    if torch.compiler.is_compiling() or logits.device.type != "cpu" or logits.dtype != torch.float32:
        return False
    return logits.shape[-1] >= 8 and logits.numel() >= _WORTH


def _by_loops(logits: Tensor, classes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    from moleblend_plugin.losses.cross_entropy_loops import Loops

    total, hits = Loops.apply(logits, classes, weights)  # type: ignore[no-untyped-call]
    return total, hits


def _by_torch(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    total: Tensor = _function().apply(logits, classes, weights)
    return total


@lru_cache(maxsize=1)
def _function() -> Any:  # noqa: ANN401  a class of torch, which this room imports where it is needed
    import torch

    class CrossEntropy(torch.autograd.Function):
        """:func:`cross_entropy_sum` on any device."""

        @staticmethod
        def forward(
            ctx: Any,  # noqa: ANN401  torch's own
            logits: Tensor,
            classes: Tensor,
            weights: Tensor,
        ) -> Tensor:
            """The sum."""
            log_p = logits.float().log_softmax(-1)
            ctx.save_for_backward(log_p, classes, weights)
            ctx.dtype = logits.dtype
            return -(log_p.gather(-1, classes) * weights).where(weights != 0, 0.0).sum()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
            """Gradient of the logits: probabilities less the target, times the weights."""
            log_p, classes, weights = ctx.saved_tensors
            scaled = weights * grad
            by_logits = log_p.exp().mul_(scaled.sum(-1, keepdim=True))
            by_logits.scatter_add_(-1, classes, -scaled)
            return by_logits.to(ctx.dtype), None, None

    return CrossEntropy
