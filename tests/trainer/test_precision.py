"""Mixed precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor

from moleblend_plugin.trainer.loop import engine
from tests.trainer.conftest import Run


def weights(run: Run, name: str = "checkpoint_last.pt") -> dict[str, Tensor]:
    return run.state(name)["model"]


def losses(run: Run) -> list[float]:
    return [event["loss"] for event in run.events("train_inner")]


def test_bf16_trains_close_to_fp32_and_saves_fp32(train: Callable[..., Any]) -> None:
    full = train("--max-epoch", 2, into="full")
    half = train("--max-epoch", 2, "--bf16", into="half")
    assert half.code == 0
    assert losses(half) != losses(full)
    assert losses(half) == pytest.approx(losses(full), rel=0.05)
    assert {value.dtype for value in weights(half).values()} == {torch.float32}
    assert all(math.isfinite(value) for value in losses(half))


@pytest.fixture
def half_on_cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Loss-scaled float16 on the CPU, starting at a loss scale: what --fp16 does on a GPU."""

    def install(scale: Any) -> None:
        def precision(args: Any) -> Any:
            scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
            return MixedPrecision("16-mixed", device="cpu", scaler=scaler)

        monkeypatch.setattr(engine, "_precision", precision)
        monkeypatch.setattr(engine, "needs_fabric", lambda args: True)

    return install


def test_float16_scales_the_loss_and_unscales_gradients(
    train: Callable[..., Any], half_on_cpu: Callable[..., Any]
) -> None:
    full = train("--max-epoch", 2, "--clip-norm", 2, into="full")
    half_on_cpu(2.0**10)
    half = train("--max-epoch", 2, "--clip-norm", 2, into="half")
    assert losses(half) == pytest.approx(losses(full), rel=0.02)
    norms = [[event["gnorm"] for event in run.events("train_inner")] for run in (half, full)]
    assert norms[0] == pytest.approx(norms[1], rel=0.05)
    assert half.events("train_inner")[0]["loss_scale"] == 2.0**10


def test_float16_overflow_skips_the_update_and_halves_the_scale(
    train: Callable[..., Any], half_on_cpu: Callable[..., Any]
) -> None:
    half_on_cpu(2.0**126)
    run = train("--max-update", 3, "--disable-validation")
    assert run.code == 0
    assert [event["num_updates"] for event in run.events("train_inner")] == [1, 2, 3]
    assert run.events("train_inner")[-1]["loss_scale"] < 2.0**120
    assert run.state()["extra_state"]["train_iterator"]["iterations_in_epoch"] != 3
    assert run.state()["extra_state"]["grad_scaler"]["scale"] == run.events("train_inner")[-1]["loss_scale"]


def test_float16_that_keeps_overflowing_gives_up(
    train: Callable[..., Any], half_on_cpu: Callable[..., Any]
) -> None:
    half_on_cpu(1.0)
    run = train("--max-update", 3, "--toy-scale", 1e30)
    assert run.code == 2
    assert "the loss scale fell to" in run.err


def test_float16_skips_a_batch_that_is_not_finite(
    train: Callable[..., Any], half_on_cpu: Callable[..., Any]
) -> None:
    """Item 13 is NaN: skipped as in float32, and the run goes on with a loss scale that is still there."""
    half_on_cpu(1024.0)
    run = train("--max-epoch", 2, "--toy-nan-index", 13, "--disable-validation")
    assert run.code == 0
    events = run.events("train_inner")
    assert [event["num_updates"] for event in events] == list(range(1, 19))
    assert (events[-1]["bad_updates"], events[-1]["loss_scale"]) == (2, 256.0)
    assert all(torch.isfinite(value).all() for value in run.state()["model"].values())


def test_one_process_trains_to_the_bit_as_under_fabric(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = train("--max-epoch", 2, "--clip-norm", 1, "--update-freq", 2, into="alone")
    monkeypatch.setattr(engine, "needs_fabric", lambda args: True)
    wrapped = train("--max-epoch", 2, "--clip-norm", 1, "--update-freq", 2, into="wrapped")
    assert losses(alone) == losses(wrapped)
    assert all(torch.equal(value, weights(wrapped)[name]) for name, value in weights(alone).items())
