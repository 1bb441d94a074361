"""Cross entropy of many rows with a gradient of its own.

R rows, C classes, K of them with a share of a row's target.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

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
    functions = _functions()
    if not _by_loops(logits):
        return cast("Tensor", functions.by_torch(logits, classes, weights))
    total: Tensor = functions.by_loops(logits, classes, weights)[0]
    return total


def cross_entropy_and_hits(logits: Tensor, classes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`cross_entropy_sum`, and of how many rows that count the first class is most likely (int64)."""
    functions = _functions()
    if _by_loops(logits):
        total, hits = functions.by_loops(logits, classes, weights)
        return total, hits
    first = (logits.detach().argmax(-1) == classes[:, 0]) & (weights.sum(-1) != 0)
    return functions.by_torch(logits, classes, weights), first.sum()


def _by_loops(logits: Tensor) -> bool:
    import torch

    if torch.compiler.is_compiling() or logits.device.type != "cpu" or logits.dtype != torch.float32:
        return False
    return logits.shape[-1] >= 8 and logits.numel() >= _WORTH


class _Functions:
    """The classes of torch, which this room imports where it is needed."""

    def __init__(self, by_torch: Callable[..., Any], by_loops: Callable[..., Any]) -> None:
        self.by_torch, self.by_loops = by_torch, by_loops


@lru_cache(maxsize=1)
def _functions() -> _Functions:
    import torch

    class CrossEntropy(torch.autograd.Function):
        """The sum, on any device."""

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

    class Loops(torch.autograd.Function):
        """``cross_entropy_loops``."""

        @staticmethod
        def forward(
            ctx: Any,  # noqa: ANN401  torch's own
            logits: Tensor,
            classes: Tensor,
            weights: Tensor,
        ) -> tuple[Tensor, Tensor]:
            """The sum, and how many hits."""
            from moleblend_plugin.losses.cross_entropy_loops import score_rows

            logits, (rows, across) = logits.contiguous(), logits.shape
            most, picked = logits.new_zeros(2, rows)
            whole = logits.new_ones(rows)
            given = [part.detach().numpy() for part in (logits.view(-1), classes, weights)]
            made = [part.numpy() for part in (most, whole, picked)]
            hits = _shared_out(rows, lambda first, last: score_rows(*given, across, first, last, *made))
            if min(hits) < 0:
                raise IndexError(f"a target's class is outside of 0 to {across - 1}")
            ctx.save_for_backward(logits, classes, weights, most, whole)
            total = (weights.sum(-1) * (most + whole.log()) - picked).sum()
            found = torch.tensor(sum(hits))
            ctx.mark_non_differentiable(found)
            return total, found

        @staticmethod
        def backward(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor, None, None]:  # noqa: ANN401
            """As above."""
            from moleblend_plugin.losses.cross_entropy_loops import score_rows_backward

            logits, *others = ctx.saved_tensors
            by_logits, across = torch.empty_like(logits), logits.shape[1]
            flat, classes, weights, most, whole = (
                part.detach().numpy() for part in (logits.view(-1), *others)
            )
            more = (most, whole, grad.float().numpy()[()], by_logits.view(-1).numpy())
            _shared_out(
                len(logits),
                lambda first, last: score_rows_backward(flat, classes, weights, across, first, last, *more),
            )
            return by_logits, None, None

    return _Functions(CrossEntropy.apply, Loops.apply)


def _shared_out(rows: int, work: Callable[[int, int], Any]) -> list[Any]:
    """What ``work(first, last)`` gives for ranges of rows, one for each of torch's threads."""
    import torch

    threads = torch.get_num_threads()
    if threads == 1:
        return [work(0, rows)]
    from concurrent.futures import ThreadPoolExecutor

    edges = [rows * part // threads for part in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, edges[:-1], edges[1:]))
