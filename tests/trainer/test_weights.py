"""Averaged weights, and weights of another run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from moleblend_plugin.trainer.loop.ema import MovingAverage
from tests.trainer.conftest import Run
from tests.trainer.same import assert_same


def weights(run: Run, name: str = "checkpoint_last.pt") -> dict[str, Tensor]:
    return run.state(name)["model"]


def test_moving_average_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    model.tied = model.weight
    nn.init.constant_(model.weight, 1.0)
    average = MovingAverage(model, 0.75)
    nn.init.constant_(model.weight, 5.0)
    average.update()
    with average.applied():
        assert model.weight.item() == 2.0
    assert model.weight.item() == 5.0
    params = average.state_dict()["params"]
    assert {name: value.item() for name, value in params.items()} == {"weight": 2.0, "tied": 2.0}
    other = MovingAverage(model, 0.5)
    other.load_state_dict(average.state_dict())
    assert other.average["weight"].item() == 2.0


def test_validation_with_the_average_is_that_of_the_averaged_weights(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    options = ("--max-update", 10, "--ema-decay", 0.8)
    averaged = train(*options, "--validate-with-ema", into="averaged")
    plain = train(*options, into="plain")
    assert_same(averaged.state()["ema"], plain.state()["ema"])
    assert_same(weights(averaged), weights(plain))
    # The same weights, taken as such: an update of rate 0 leaves them as they are.
    taken = train("--finetune-from-model", averaged.folder / "checkpoint_last.pt", "--load-from-ema",
                  "--max-update", 1, "--lr", 0, into="taken")  # fmt: skip
    assert_same(dict(weights(taken)), dict(averaged.state()["ema"]["params"]))
    assert taken.events("valid")[0]["loss"] == averaged.events("valid")[0]["loss"]
    assert averaged.events("valid")[0]["loss"] != plain.events("valid")[0]["loss"]


def test_finetuning_starts_afresh_from_the_weights(train: Callable[..., Any]) -> None:
    first = train("--max-epoch", 1, into="first")
    source = first.folder / "checkpoint_last.pt"
    tuned = train("--finetune-from-model", source, "--max-update", 1, "--lr", 0, into="tuned")
    assert_same(weights(first), weights(tuned))
    assert tuned.events("train_inner")[0]["num_updates"] == 1
    again = train("--finetune-from-model", source, "--max-update", 2, "--lr", 0, into="tuned")
    assert "was where this run began" in again.out


def test_finetuning_that_would_load_nothing_is_refused(train: Callable[..., Any]) -> None:
    first = train("--max-update", 1, into="first")
    path = first.folder / "checkpoint_last.pt"
    state = first.state()
    state["model"] = {f"body.{name}": value for name, value in state["model"].items()}
    torch.save(state, path)
    run = train("--finetune-from-model", path, "--max-update", 1, into="tuned")
    assert run.code == 2
    assert "no name in" in run.err
    assert "body.inside.weight" in run.err
    state["model"]["norm.weight"] = torch.full((8,), 3.0)
    torch.save(state, path)
    run = train("--finetune-from-model", path, "--max-update", 1, "--lr", 0, into="tuned")
    assert run.code == 0
    assert "5 of 6 weights keep their fresh values" in run.out
    assert weights(run)["norm.weight"][0] == 3.0
