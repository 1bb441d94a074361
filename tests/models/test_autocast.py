"""Gradients that are written out are the same where ``backward`` is called inside of autocast."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from moleblend_plugin.models.blend.relations import GaussianDistances
from moleblend_plugin.models.parts.kernels import attention_on_cpu


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()


def attention() -> tuple[Tensor, list[Tensor]]:
    qkv, bias = drawn(3, 7, 24), drawn(3, 2, 7, 7)
    return attention_on_cpu(qkv, bias, 2, 0.0), [qkv, bias]


def gaussians() -> tuple[Tensor, list[Tensor]]:
    torch.manual_seed(0)
    module, distance = GaussianDistances(8, "intended"), drawn(2, 5, 5)
    features = module(distance.abs(), torch.full((2, 5), 6))
    return features, [distance, module.mean, module.std, module.scale_from.weight]


@pytest.mark.parametrize("made", [attention, gaussians])
def test_gradients_inside_of_autocast(made: Callable[[], tuple[Tensor, list[Tensor]]]) -> None:
    found = []
    for around in (nullcontext(), torch.autocast("cpu", torch.bfloat16)):
        with torch.autocast("cpu", torch.bfloat16):
            result, inputs = made()
        result = result.float()
        weigh = torch.arange(result.numel(), dtype=torch.float32).view_as(result)
        with around:
            torch.autograd.backward(result, weigh)
        found.append([given.grad for given in inputs])
    for inside, outside in zip(*found, strict=True):
        assert inside.any()
        torch.testing.assert_close(inside, outside, rtol=0, atol=0)
