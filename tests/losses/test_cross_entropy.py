"""Cross entropy against torch's, and its gradient against autograd's."""

from __future__ import annotations

import torch

from moleblend_plugin.losses.cross_entropy import cross_entropy_sum


def test_sum_and_gradient_are_those_of_torch() -> None:
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(7, 5, generator=draw).requires_grad_()
    classes = torch.stack([torch.randperm(5, generator=draw)[:2] for _ in range(7)])
    weights = torch.rand(7, 2, generator=draw)
    weights[3] = 0.0
    ours = 3 * cross_entropy_sum(logits, classes, weights)
    (found,) = torch.autograd.grad(ours, logits)
    expected = 3 * -(logits.log_softmax(-1).gather(-1, classes) * weights).sum()
    (gradient,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(found, gradient)
    assert not found[3].any()


def test_half_precision_is_summed_in_full() -> None:
    logits = torch.full((1000, 4), 3.0, dtype=torch.bfloat16).requires_grad_()
    total = cross_entropy_sum(logits, torch.zeros(1000, 1, dtype=torch.int64), torch.ones(1000, 1))
    torch.testing.assert_close(total, 1000 * torch.tensor(4.0).log())
    total.backward()
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16
