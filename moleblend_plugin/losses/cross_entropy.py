"""Cross entropy of many rows with a gradient of its own.

R rows, C classes, K of them with a share of a row's target.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def cross_entropy_sum(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Sum of ``-weight * log softmax`` at given classes, a scalar in fp32.

    Autograd would fill a tensor of zeros for the targets first, and pass over all logits four times.

    Args:
        logits: [R, C].
        classes: int64 [R, K], which differ within a row.
        weights: fp32 [R, K], constants.
    """
    total: Tensor = _function().apply(logits, classes, weights)
    return total


@lru_cache(maxsize=1)
def _function() -> Any:  # noqa: ANN401  a class of torch, which this room imports where it is needed
    import torch

    class CrossEntropy(torch.autograd.Function):
        """:func:`cross_entropy_sum`."""

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
