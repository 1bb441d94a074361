"""Attention for training on a CPU against torch's own; dropout by its mean, its rate and its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moleblend_plugin.models.attention import _attend, _attend_on_cpu
from moleblend_plugin.models.dropout import Dropout, keep_mask

BATCH, TOKENS, HEADS, WIDTH = 3, 7, 4, 24


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Queries, keys and values, and a bias whose last columns are padding in the second molecule."""
    qkv = torch.randn(BATCH, TOKENS, 3 * WIDTH, generator=torch.Generator().manual_seed(1))
    bias = torch.randn(BATCH, HEADS, TOKENS, TOKENS, generator=torch.Generator().manual_seed(2))
    bias[1, :, :, -3:] = -torch.inf
    return qkv.to(dtype).requires_grad_(), bias.requires_grad_()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_values_and_gradients_are_those_of_torch(dtype: torch.dtype, tolerance: float) -> None:
    ours, expected = [], []
    for attend, results in ((_attend_on_cpu, ours), (_attend, expected)):
        qkv, bias = inputs(dtype)
        mixed = attend(qkv, bias, HEADS, 0.0)
        assert mixed.dtype == dtype
        mixed.float().square().sum().backward()
        results += [mixed, qkv.grad, bias.grad]
    for mine, theirs in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


def test_gradients_with_dropout_are_those_of_the_values_it_gave() -> None:
    """The same draws before and after a small step: the difference is the gradient along the step."""

    def loss(qkv: Tensor, bias: Tensor) -> Tensor:
        torch.manual_seed(5)
        return _attend_on_cpu(qkv, bias, HEADS, 0.5).square().sum()

    qkv, bias = inputs()
    loss(qkv, bias).backward()
    assert qkv.grad is not None
    assert bias.grad is not None
    step_qkv, step_bias = 1e-2 * torch.randn_like(qkv), 1e-2 * torch.randn_like(bias)
    with torch.no_grad():
        change = loss(qkv + step_qkv, bias + step_bias) - loss(qkv - step_qkv, bias - step_bias)
        expected = 2 * ((qkv.grad * step_qkv).sum() + (bias.grad * step_bias).sum())
    torch.testing.assert_close(change, expected, rtol=1e-2, atol=1e-4)


def test_masks_have_the_rate_they_are_asked_for_and_no_pattern() -> None:
    torch.manual_seed(3)
    for p in (0.1, 0.5, 0.9):
        keep, scale = keep_mask(torch.empty(500, 2003), p)
        kept = keep.float()
        assert float(kept.mean()) == pytest.approx(1 - p, abs=2e-3)
        assert 1 / scale == pytest.approx(1 - p, abs=1e-5)
        for distance in (1, 2, 3, 4, 2003):  # neighbours, halves of a draw, rows
            flat = kept.flatten()
            assert float(torch.corrcoef(torch.stack((flat[distance:], flat[:-distance])))[0, 1]) == (
                pytest.approx(0, abs=5e-3)
            )


def test_dropout_keeps_the_mean_and_rests_outside_training() -> None:
    torch.manual_seed(4)
    x = torch.ones(400, 1000, requires_grad=True)
    dropout = Dropout(0.25)
    dropped = dropout(x)
    assert float(dropped.detach().mean()) == pytest.approx(1, abs=5e-3)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, dropped)
    assert dropout.eval()(x) is x
    assert Dropout(0.0)(x) is x
