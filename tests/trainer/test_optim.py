"""The optimiser: groups, formula, clipping, and the checkpoint layout of Uni-Core's Adam."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from moleblend_plugin.trainer.loop.optim import Optimizer, build_adamw, decay_groups


def options(**changes: float) -> argparse.Namespace:
    given = {
        "lr": [0.1],
        "adam_betas": "(0.8, 0.9)",
        "adam_eps": 1e-6,
        "weight_decay": 0.5,
        "no_weight_decay_names": "",
    }
    return Namespace(**given | changes)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(2, 2)
        self.table = nn.Embedding(3, 2)
        self.scale = nn.Parameter(torch.ones(2))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def names(
    model: Small, groups: list[dict[str, float | list[Tensor] | tuple[float, float] | None]]
) -> list[list[str]]:
    by_id = {id(parameter): name for name, parameter in model.named_parameters()}
    return [[by_id[id(parameter)] for parameter in group["params"]] for group in groups]


def test_biases_vectors_and_named_parts_are_not_decayed() -> None:
    model = Small()
    groups = decay_groups(list(model.named_parameters()), 0.5, ["table", ""])
    assert names(model, groups) == [["frozen", "dense.weight"], ["scale", "dense.bias", "table.weight"]]
    assert "weight_decay" not in groups[0]
    assert groups[1]["weight_decay"] == 0


def test_embeddings_are_decayed_unless_named() -> None:
    model = Small()
    groups = decay_groups(list(model.named_parameters()), 0.5, [])
    assert "table.weight" in names(model, groups)[0]


def test_without_decay_there_is_one_group_of_trainable_parameters() -> None:
    model = Small()
    built = build_adamw(list(model.named_parameters()), options(weight_decay=0.0))
    assert names(model, built.param_groups) == [["scale", "dense.weight", "dense.bias", "table.weight"]]


@pytest.mark.parametrize("fused", [False, True])
def test_steps_follow_the_formula_of_decoupled_decay(fused: bool) -> None:
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    # An eps this large shows that it is added before the bias correction, where Uni-Core adds it.
    optimizer = Optimizer(build_adamw([("w", weight)], options(adam_eps=0.03), fused=fused))
    expected, first, second = np.array([[1.0, -2.0]]), 0.0, 0.0
    for step, gradient in enumerate(np.array([[[0.3, 0.1]], [[-0.2, 0.4]], [[0.5, 0.0]]]), start=1):
        weight.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        first = 0.8 * first + 0.2 * gradient
        second = 0.9 * second + 0.1 * gradient**2
        rate = 0.1 * np.sqrt(1 - 0.9**step) / (1 - 0.8**step)
        expected = expected * (1 - 0.1 * 0.5) - rate * first / (np.sqrt(second) + 0.03)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-6)
    assert optimizer.param_groups[0]["eps"] == 0.03


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("first", ["a", "b"])
def test_a_parameter_that_got_no_gradient_is_at_its_own_step(fused: bool, first: str) -> None:
    """Also for eps, which counts more in early steps: without a gradient there is no step, and no decay."""
    weights = {name: nn.Parameter(torch.tensor([1.0])) for name in "ab"}
    late = weights["b" if first == "a" else "a"]
    optimizer = Optimizer(build_adamw(list(weights.items()), options(adam_eps=0.5), fused=fused))
    expected = {name: 1.0 for name in "ab"}
    moments = {name: (0.0, 0.0, 0) for name in "ab"}
    for moving in (first, first, "ab", "ab"):
        optimizer.zero_grad()
        for name in moving:
            weights[name].grad = torch.tensor([0.3])
            mean, square, step = moments[name]
            mean, square, step = 0.8 * mean + 0.2 * 0.3, 0.9 * square + 0.1 * 0.3**2, step + 1
            moments[name] = mean, square, step
            rate = 0.1 * np.sqrt(1 - 0.9**step) / (1 - 0.8**step)
            expected[name] -= rate * mean / (np.sqrt(square) + 0.5)
        optimizer.step()
        if late.grad is None:
            assert late.item() == 1
    assert {name: weight.item() for name, weight in weights.items()} == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_a_parameter_behind_moves_as_far_as_others_at_first(fused: bool) -> None:
    early, late = (nn.Parameter(torch.tensor([1.0])) for _ in "ab")
    optimizer = Optimizer(build_adamw([("a", early), ("b", late)], options(weight_decay=0.0), fused=fused))
    for moving in ([early], [early, late]):
        optimizer.zero_grad()
        for parameter in moving:
            parameter.grad = torch.tensor([2.0])
        optimizer.step()
    assert late.item() == pytest.approx(0.9, rel=1e-6)  # a first step moves by the learning rate
    assert early.item() == pytest.approx(0.8, rel=1e-6)


def test_clipping_gives_the_norm_before_it() -> None:
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    optimizer = Optimizer(torch.optim.SGD(weights, lr=1.0))
    assert float(optimizer.clip_grad_norm(0)) == 5.0
    assert weights[1].grad.item() == 4.0
    assert float(optimizer.clip_grad_norm(1.0)) == 5.0
    assert weights[1].grad.item() == pytest.approx(0.8, rel=1e-6)
    assert float(optimizer.clip_grad_norm(2.0)) == pytest.approx(1.0, rel=1e-6)
    assert weights[1].grad.item() == pytest.approx(0.8, rel=1e-6)


def test_multiplying_gradients_skips_parameters_without() -> None:
    weights = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    weights[0].grad = torch.tensor([3.0])
    optimizer = Optimizer(torch.optim.SGD(weights, lr=1.0))
    optimizer.multiply_grads(0.5)
    assert weights[0].grad.item() == 1.5
    optimizer.zero_grad()
    assert optimizer.gradients == []
    optimizer.multiply_grads(0.5)
    assert float(optimizer.clip_grad_norm(1.0)) == 0.0


def test_state_has_the_layout_of_uni_core_and_training_goes_on_after_saving() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = Optimizer(build_adamw([("w", weight)], options()))
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    state = optimizer.state_dict()
    assert state["state"][0]["step"] == 1
    assert type(state["state"][0]["step"]) is int
    assert sorted(state["param_groups"][0]) == ["amsgrad", "betas", "eps", "lr", "params", "weight_decay"]
    optimizer.step()
    assert state["state"][0]["step"] == 1


@pytest.mark.parametrize("fused", [False, True])
def test_loading_keeps_moments_and_the_commands_hyper_parameters(fused: bool) -> None:
    def stepped(count: Any, **changes: Any) -> Any:
        weight = nn.Parameter(torch.ones(2, 2))
        optimizer = Optimizer(build_adamw([("w", weight)], options(**changes), fused=fused))
        for _ in range(count):
            weight.grad = torch.full((2, 2), 0.5)
            optimizer.step()
        return optimizer, weight

    straight, expected = stepped(3)
    first, weight = stepped(2)
    second = Optimizer(build_adamw([("w", weight)], options(weight_decay=0.5), fused=fused))
    second.load_state_dict(first.state_dict(), {}, {"betas": (0.8, 0.9), "eps": 1e-6})
    weight.grad = torch.full((2, 2), 0.5)
    second.step()
    assert torch.equal(weight, expected)
    second.load_state_dict(first.state_dict(), {"eps": 0.3}, {"betas": (0.1, 0.2), "eps": 1e-6})
    group = second.param_groups[0]
    assert (group["eps"], group["betas"], group["weight_decay"]) == (0.3, (0.1, 0.2), 0.5)


def test_learning_rate_is_set_for_every_group() -> None:
    model = Small()
    optimizer = Optimizer(build_adamw(list(model.named_parameters()), options()))
    optimizer.set_lr(0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
    assert optimizer.get_lr() == 0.25
