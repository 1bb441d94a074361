"""Best metric and patience, values of flags, and names of what is not finite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.command.config import ValidConfig
from moleblend_plugin.trainer.command.parse_values import parse_betas, parse_overrides
from moleblend_plugin.trainer.loop.early_stopping import EarlyStopping
from moleblend_plugin.trainer.loop.seeding import torch_seed
from moleblend_plugin.trainer.trouble.nonfinite import first_bad_gradient, watch_outputs

CONFIG = ValidConfig(patience=2)


def heard(values: list[float | None], config: ValidConfig = CONFIG) -> tuple[EarlyStopping, list[bool]]:
    progress = EarlyStopping()
    return progress, [progress.update(value, config) for value in values]


def test_patience_counts_validations_without_a_better_metric() -> None:
    progress, ends = heard([3.0, None, 3.0, 2.0, 2.5, None, 2.0])
    assert ends == [False, False, False, False, False, False, True]
    assert (progress.best, progress.valid_loss, progress.runs_without_better) == (2.0, 2.0, 2)


def test_patience_with_larger_is_better() -> None:
    _, ends = heard([0.5, 0.6, 0.6, 0.1], replace(CONFIG, maximize_best_checkpoint_metric=True))
    assert ends == [False, False, False, True]


def test_a_metric_that_is_no_number_is_never_the_best() -> None:
    progress, ends = heard([float("nan"), 2.0, float("nan"), 1.0])
    assert (progress.best, progress.runs_without_better, any(ends)) == (1.0, 0, False)


def test_no_patience_never_ends() -> None:
    progress, ends = heard([1.0] * 10, replace(CONFIG, patience=-1))
    assert not any(ends)
    assert not progress.out_of_patience(replace(CONFIG, patience=0))


def test_betas() -> None:
    assert parse_betas(" (0.9, 0.99)") == (0.9, 0.99)
    assert parse_betas("[0, 0.5]") == (0.0, 0.5)
    for text in ("", "(0.9,)", "(0.9, 'x')", "(0.9, -0.1)", "open('x')", "9" * 5000):
        with pytest.raises(MoleblendError, match="--adam-betas"):
            parse_betas(text)


def test_overrides() -> None:
    assert parse_overrides("{'eps': 1e-6, 'betas': (0.9, 0.99)}") == {"eps": 1e-6, "betas": (0.9, 0.99)}
    for text in ("{1: 2}", "eps", "dict(a=1)"):
        with pytest.raises(MoleblendError, match="--optimizer-overrides"):
            parse_overrides(text)


def test_seeding_is_a_function_of_its_arguments_and_leaves_no_trace() -> None:
    torch.manual_seed(5)
    untouched = torch.rand(2)
    torch.manual_seed(5)
    draws = []
    for arguments in ((1, 2, 3), (1, 2, 3), (1, 2, 4), (1,)):
        with torch_seed(*arguments):
            draws.append(torch.rand(2))
    assert torch.equal(torch.rand(2), untouched)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(draws[3], torch.rand(2, generator=torch.Generator().manual_seed(1)))


class Divide(nn.Module):
    def forward(self, x: Any) -> Any:
        return {"quotient": [x / x, torch.ones(1)]}


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.masks = nn.Identity()
        self.divide = Divide()

    def forward(self, x: Any) -> Any:
        return self.divide(self.masks(x))["quotient"][0]


def test_first_module_whose_output_is_nan() -> None:
    model = Chain()
    with watch_outputs(model) as found:
        model(torch.tensor([1.0, float("-inf"), 0.0]))  # infinity is no fault: masks hold it
    assert found == ["divide (Divide)", "the model (Chain)"]
    with watch_outputs(model) as found:
        model(torch.ones(2))
    assert found == []
    assert not model.divide._forward_hooks


def test_first_parameter_whose_gradient_is_not_finite() -> None:
    model = nn.Linear(2, 2)
    assert first_bad_gradient(model) is None
    model.weight.grad, model.bias.grad = torch.zeros(2, 2), torch.tensor([0.0, float("inf")])
    assert first_bad_gradient(model) == "bias"
