"""Mixed precision."""

import math

import pytest
import torch
from lightning_fabric.plugins import MixedPrecision

from moleblend_plugin.trainer.loop import engine


def weights(run, name="checkpoint_last.pt"):
    return run.state(name)["model"]


def losses(run):
    return [event["loss"] for event in run.events("train_inner")]


def test_bf16_trains_close_to_fp32_and_saves_fp32(train):
    full = train("--max-epoch", 2, into="full")
    half = train("--max-epoch", 2, "--bf16", into="half")
    assert half.code == 0
    assert losses(half) != losses(full)
    assert losses(half) == pytest.approx(losses(full), rel=0.05)
    assert {value.dtype for value in weights(half).values()} == {torch.float32}
    assert all(math.isfinite(value) for value in losses(half))


@pytest.fixture
def half_on_cpu(monkeypatch):
    """Loss-scaled float16 on the CPU, starting at a loss scale: what --fp16 does on a GPU."""

    def install(scale):
        def precision(args):
            scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
            return MixedPrecision("16-mixed", device="cpu", scaler=scaler)

        monkeypatch.setattr(engine, "_precision", precision)

    return install


def test_float16_scales_the_loss_and_unscales_gradients(train, half_on_cpu):
    full = train("--max-epoch", 2, "--clip-norm", 2, into="full")
    half_on_cpu(2.0**10)
    half = train("--max-epoch", 2, "--clip-norm", 2, into="half")
    assert losses(half) == pytest.approx(losses(full), rel=0.02)
    norms = [[event["gnorm"] for event in run.events("train_inner")] for run in (half, full)]
    assert norms[0] == pytest.approx(norms[1], rel=0.05)
    assert half.events("train_inner")[0]["loss_scale"] == 2.0**10


def test_float16_overflow_skips_the_update_and_halves_the_scale(train, half_on_cpu):
    half_on_cpu(2.0**126)
    run = train("--max-update", 3, "--disable-validation")
    assert run.code == 0
    assert [event["num_updates"] for event in run.events("train_inner")] == [1, 2, 3]
    assert run.events("train_inner")[-1]["loss_scale"] < 2.0**120
    assert run.state()["extra_state"]["train_iterator"]["iterations_in_epoch"] != 3
    assert run.state()["extra_state"]["grad_scaler"]["scale"] == run.events("train_inner")[-1]["loss_scale"]


def test_float16_that_keeps_overflowing_gives_up(train, half_on_cpu):
    half_on_cpu(1.0)
    run = train("--max-update", 3, "--toy-scale", 1e30)
    assert run.code == 2
    assert "the loss scale fell to" in run.err


def test_float16_skips_a_batch_that_is_not_finite(train, half_on_cpu):
    """Item 13 is NaN: skipped as in float32, and the run goes on with a loss scale that is still there."""
    half_on_cpu(1024.0)
    run = train("--max-epoch", 2, "--toy-nan-index", 13, "--disable-validation")
    assert run.code == 0
    events = run.events("train_inner")
    assert [event["num_updates"] for event in events] == list(range(1, 19))
    assert (events[-1]["bad_updates"], events[-1]["loss_scale"]) == (2, 256.0)
    assert all(torch.isfinite(value).all() for value in run.state()["model"].values())
