"""Attention for training on a CPU against torch's own; dropout by its mean, its rate and its gradient."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from moleblend_plugin.models.parts.dropout import Dropout
from moleblend_plugin.models.parts.kernels import (
    HAS_TRITON,
    AttentionForm,
    attention_of_torch,
    attention_on_cpu,
    attention_on_gpu,
    keep_mask,
)

GPU = torch.cuda.is_available()
RUNS_KERNELS = HAS_TRITON and (GPU or os.environ.get("TRITON_INTERPRET") == "1")
NO_KERNELS = "needs CUDA_VISIBLE_DEVICES=0, or Triton and TRITON_INTERPRET=1, under which a CPU runs kernels"
ON_GPU = pytest.param(attention_on_gpu, marks=pytest.mark.skipif(not RUNS_KERNELS, reason=NO_KERNELS))


def inputs(
    attend: AttentionForm, tokens: int = 7, heads: int = 4, width: int = 6, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Queries, keys and values, and a bias whose last columns are padding in the second molecule."""
    qkv = torch.randn(3, tokens, 3 * heads * width, generator=torch.Generator().manual_seed(1))
    bias = torch.randn(3, heads, tokens, tokens, generator=torch.Generator().manual_seed(2))
    bias[1, :, :, -3:] = -torch.inf
    device = "cuda" if GPU and attend is attention_on_gpu else "cpu"
    return qkv.to(device, dtype).requires_grad_(), bias.to(device).requires_grad_()


@pytest.mark.parametrize("sizes", [(7, 4, 6), (21, 2, 24), (33, 1, 16)])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 5e-3), (torch.bfloat16, 2e-2)]
)
@pytest.mark.parametrize("attend", [attention_on_cpu, ON_GPU])
def test_values_and_gradients_are_those_of_torch(
    attend: AttentionForm, dtype: torch.dtype, tolerance: float, sizes: tuple[int, int, int]
) -> None:
    if attend is attention_on_gpu and dtype == torch.bfloat16 and not GPU:
        pytest.skip("Triton's interpreter has no bfloat16")
    ours, expected = [], []
    for way, results in ((attend, ours), (attention_of_torch, expected)):
        qkv, bias = inputs(way, *sizes, dtype)
        mixed = way(qkv, bias, sizes[1], 0.0)
        assert mixed.dtype == dtype
        mixed.float().square().mean().backward()
        results += [mixed, qkv.grad, bias.grad]
    for mine, theirs in zip(ours, expected, strict=True):
        scale = float(theirs.detach().abs().max())
        torch.testing.assert_close(mine.cpu(), theirs, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("attend", [attention_on_cpu, ON_GPU])
def test_gradients_with_dropout_are_those_of_the_values_it_gave(attend: AttentionForm) -> None:
    """The same draws before and after a small step: the difference is the gradient along the step."""

    def loss(qkv: Tensor, bias: Tensor) -> Tensor:
        torch.manual_seed(5)
        return attend(qkv, bias, 4, 0.5).square().sum()

    qkv, bias = inputs(attend)
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
