"""Rows and sums of all processes, with gradients: what one batch needs of the others' parts of it.

An update's batch lies in parts in the processes. A comparison between molecules (negatives, neighbours,
batch statistics) wants the whole of it. Outside of an update (validation, one process) nothing is exchanged.

R rows of this process, A rows of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F


def _total(value: Tensor) -> Tensor:
    total = value.clone()
    dist.all_reduce(total)
    return total


class _Sum(torch.autograd.Function):
    """Sum over processes. Every process uses the sum, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ANN401  torch's context
        return _total(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        return _total(gradient)


class _Gather(torch.autograd.Function):
    """Equally many rows of every process, in order of rank; each row's gradient is the sum of all uses."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # noqa: ANN401
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        return _total(gradient).chunk(dist.get_world_size())[dist.get_rank()]


class Exchange:
    """Shared by the modules of a network; active only inside :meth:`joined`."""

    def __init__(self) -> None:
        self.active = False

    @contextmanager
    def joined(self, wanted: bool) -> Iterator[None]:
        """Block in which all processes hold parts of one batch and compute in step.

        Args:
            wanted: whether they do.
        """
        several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        self.active = wanted and several
        try:
            yield
        finally:
            self.active = False

    def sum(self, value: Tensor) -> Tensor:
        """Sum of ``value`` over processes, with gradients."""
        if not self.active:
            return value
        total: Tensor = _Sum.apply(value)  # type: ignore[no-untyped-call]
        return total

    def gather(self, rows: Tensor) -> Tensor:
        """[A, ...] from [R, ...] of every process (R may differ), in order of rank, with gradients."""
        if not self.active:
            return rows
        sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(dist.get_world_size())]
        dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
        counts = [int(size) for size in sizes]
        most = max(counts)
        padding = [0, 0] * (rows.dim() - 1) + [0, most - len(rows)]
        everyone: Tensor = _Gather.apply(F.pad(rows, padding))  # type: ignore[no-untyped-call]
        return torch.cat(
            [part[:count] for part, count in zip(torch.split(everyone, most), counts, strict=True)]
        )
