"""Gradients that are written out keep their precision wherever ``backward`` is called."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Gradients = TypeVar("Gradients")


def without_autocast(backward: Callable[[Any, Tensor], Gradients]) -> Callable[[Any, Tensor], Gradients]:
    """``backward`` of an ``autograd.Function`` outside of autocast, as its ``forward`` ran.

    Trainers call ``loss.backward()`` after autocast; a loop that calls it inside would have products of fp32
    gradients rounded to bf16, or refused where they are written into a given tensor.
    """

    @wraps(backward)
    def computed(ctx: Any, grad: Tensor) -> Gradients:  # noqa: ANN401  torch's own
        with torch.autocast(grad.device.type, enabled=False):
            return backward(ctx, grad)

    return computed
