"""Updates of whole training commands on the toy plugin."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainer.conftest import Run
from tests.trainer.same import assert_same


def weights(run: Run, name: str = "checkpoint_last.pt") -> dict[str, Tensor]:
    return run.state(name)["model"]


def losses(run: Run) -> list[float]:
    return [event["loss"] for event in run.events("train_inner")]


def test_training_lowers_the_loss_and_reports_it(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 20, "--lr", 3e-2)
    assert run.code == 0
    assert len(losses(run)) == 200
    assert np.mean(losses(run)[-10:]) < 0.2 * np.mean(losses(run)[:10])
    valid = run.events("valid")
    assert [event["epoch"] for event in valid] == list(range(1, 21))
    assert set(valid[0]) >= {"subset", "loss", "abs", "rmse", "bsz", "num_updates", "best_loss"}
    assert valid[0]["rmse"] == pytest.approx(valid[0]["loss"] ** 0.5)
    assert valid[0]["bsz"] == 20
    assert all(
        isinstance(value, int | float) for key, value in valid[0].items() if key not in ("event", "subset")
    )


def test_log_lines_have_uni_cores_shape(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 1, "--log-interval", 5)
    assert "| INFO | train_inner | epoch 001:      5 / 10 loss=" in run.out
    assert "| INFO | valid | epoch 001 | valid on 'valid' subset | loss " in run.out
    assert "| INFO | train | epoch 001 | loss " in run.out
    assert len(run.events("train_inner")) == 2


def test_json_and_silent_formats(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 1, "--log-format", "json", into="json")
    line = next(line for line in run.out.splitlines() if "| train_inner |" in line)
    assert json.loads(line.split(" | ")[3])["num_updates"] == "1"
    silent = train("--max-epoch", 1, "--log-format", "none", into="none")
    assert "| train |" not in silent.out
    assert len(losses(silent)) == 10


# 14 samples: 4 batches of 4, 4, 4 and 2 samples; groups of 2 or 3 of them leave uneven last groups.
@pytest.mark.parametrize(("size", "frequency"), [(4, 2), (2, 4)])
def test_an_update_is_the_mean_over_all_its_samples(
    train: Callable[..., Any], size: int, frequency: int
) -> None:
    plain = ("--max-epoch", 3, "--curriculum", 3, "--disable-validation")
    whole = train(*plain, "--batch-size", 8, data=14, into="whole")
    parts = train(*plain, "--batch-size", size, "--update-freq", frequency, data=14, into="parts")
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-5)
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], value, rtol=1e-5, atol=1e-6)


def test_scaling_the_loss_and_its_samples_apart_scales_gradients(train: Callable[..., Any]) -> None:
    one = train("--max-update", 1, into="one")
    two = train("--max-update", 1, "--toy-scale", 2, into="two")
    assert two.events("train_inner")[0]["gnorm"] == pytest.approx(2 * one.events("train_inner")[0]["gnorm"])


def test_update_frequency_per_epoch(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 3, "--update-freq", "1,5")
    assert [event["num_updates"] for event in run.events("train")] == [10, 12, 14]


def test_clipping_is_reported(train: Callable[..., Any]) -> None:
    run = train("--max-update", 3, "--clip-norm", 1e-3)
    assert [event["clip"] for event in run.events("train_inner")] == [100.0] * 3
    assert "clip" not in train("--max-update", 1, into="free").events("train_inner")[0]


def test_learning_rate_shown_is_the_next_ones(train: Callable[..., Any]) -> None:
    run = train("--max-update", 4, "--lr", 0.4, "--lr-scheduler", "polynomial_decay", "--warmup-updates", 2,
                "--total-num-update", 4)  # fmt: skip
    assert [event["lr"] for event in run.events("train_inner")] == pytest.approx([0.2, 0.4, 0.2, 0.0])


def test_first_update_has_rate_zero_with_polynomial_warmup(train: Callable[..., Any]) -> None:
    options = ("--lr-scheduler", "polynomial_decay", "--warmup-updates", 5, "--max-update")
    first = train(*options, 1, "--lr", 1e-2, into="a")
    other = train(*options, 1, "--lr", 0.5, into="b")
    assert_same(weights(first), weights(other))


@pytest.mark.parametrize("workers", [1, 2])
def test_samples_do_not_depend_on_workers(train: Callable[..., Any], workers: int) -> None:
    options = ("--max-epoch", 2, "--toy-dropout", 0.2, "--toy-reorder")
    assert_same(
        weights(train(*options, into="none")),
        weights(train(*options, "--num-workers", workers, into="some")),
    )


def test_dropout_follows_the_seed_only(train: Callable[..., Any]) -> None:
    options = ("--max-epoch", 1, "--toy-dropout", 0.5)
    torch.rand(3)
    first = train(*options, into="a")
    validated = train(*options, "--validate-interval-updates", 3, into="b")
    other = train(*options, "--seed", 2, into="c")
    assert_same(weights(first), weights(validated))
    assert losses(first) != losses(other)


def test_a_compiled_network_learns_the_same_under_the_same_names(train: Callable[..., Any]) -> None:
    plain = train("--max-update", 3, into="plain")
    compiled = train("--max-update", 3, "--compile", into="compiled")
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-5)
    assert list(compiled.state()["model"]) == list(plain.state()["model"])
