"""Cross entropy against torch's, and its gradient against autograd's."""

from __future__ import annotations

import pytest
import torch

from moleblend_plugin.losses import cross_entropy
from moleblend_plugin.losses.cross_entropy import cross_entropy_and_hits, cross_entropy_sum


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("classes", [5, 8, 11, 24])
def test_sum_hits_and_gradient_are_those_of_torch(
    classes: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_entropy, "_WORTH", 1)  # compiled loops from 8 classes on
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    draw = torch.Generator().manual_seed(1)
    logits = (5 * torch.randn(7, classes, generator=draw)).requires_grad_()
    goal = torch.stack([torch.randperm(classes, generator=draw)[:2] for _ in range(7)])
    goal[4, 0], goal[4, 1] = logits[4].argmax(), (logits[4].argmax() + 1) % classes
    weights = torch.rand(7, 2, generator=draw)
    weights[3] = 0.0
    goal[3, 0] = logits[3].argmax()  # does not count
    total, hits = cross_entropy_and_hits(logits, goal, weights)
    (found,) = torch.autograd.grad(3 * total, logits)
    expected = 3 * -(logits.log_softmax(-1).gather(-1, goal) * weights).sum()
    (gradient,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(3 * total, expected)
    torch.testing.assert_close(found, gradient)
    assert not found[3].any()
    first = logits.argmax(-1) == goal[:, 0]
    assert int(hits) == int(first.sum()) - 1 >= 1


def test_of_equal_logits_the_first_is_the_most_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "_WORTH", 1)
    goal = torch.arange(9)[:, None]
    assert int(cross_entropy_and_hits(torch.zeros(9, 9), goal, torch.ones(9, 1))[1]) == 1


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_what_is_no_number_is_not_hidden(wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "_WORTH", 1)
    for place in range(11):
        logits = torch.zeros(3, 11)
        logits[1, place] = wrong
        logits.requires_grad_()
        total = cross_entropy_sum(logits, torch.zeros(3, 1, dtype=torch.int64), torch.ones(3, 1))
        assert not total.isfinite()
        (grad,) = torch.autograd.grad(total, logits)
        assert not grad[1].isfinite().all()
        assert grad[[0, 2]].isfinite().all()


@pytest.mark.parametrize("wrong", [-1, 11, -(1 << 63)])
def test_a_class_that_there_is_not_is_an_error(wrong: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "_WORTH", 1)
    goal = torch.tensor([[0], [wrong], [2]])
    with pytest.raises(IndexError, match="0 to 10"):
        cross_entropy_sum(torch.zeros(3, 11), goal, torch.ones(3, 1))
    assert cross_entropy_sum(torch.zeros(3, 11), goal, torch.tensor([[1.0], [0.0], [1.0]])).isfinite()


@pytest.mark.parametrize("classes", [5, 11])
def test_a_share_of_nothing_is_nothing(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "_WORTH", 1)
    logits = torch.zeros(2, classes)
    logits[0, 1] = -torch.inf
    total = cross_entropy_sum(logits, torch.tensor([[0, 1], [0, 1]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    torch.testing.assert_close(total, torch.tensor([classes - 1.0, classes]).log().sum())


def test_half_precision_is_summed_in_full() -> None:
    logits = torch.full((1000, 4), 3.0, dtype=torch.bfloat16).requires_grad_()
    total = cross_entropy_sum(logits, torch.zeros(1000, 1, dtype=torch.int64), torch.ones(1000, 1))
    torch.testing.assert_close(total, 1000 * torch.tensor(4.0).log())
    total.backward()
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16
