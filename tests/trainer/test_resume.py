"""Stopping and going on gives the very same run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest
import torch

from moleblend_plugin.trainer.checkpoints.file import read_checkpoint
from tests.trainer.same import assert_same

EMA = ("--ema-decay", 0.9)
DECAY = ("--lr-scheduler", "polynomial_decay", "--warmup-updates", 3, "--total-num-update", 40)
BASE = ("--toy-dropout", 0.3, *DECAY, "--weight-decay", 0.1, "--clip-norm", 1, *EMA)
TIMES = ("ups", "wall", "train_wall", "data_wait")


def comparable(
    state: dict[
        str, argparse.Namespace | dict[str, Any] | list[dict[str, dict[str, float | None] | int | str]] | None
    ],
) -> dict[str, dict[str, Any] | None]:
    """A checkpoint without clocks and without the command itself."""
    extra = dict(state["extra_state"])
    extra.pop("previous_training_time")
    extra["metrics"] = {
        name: [meter for meter in meters if meter[1] not in TIMES]
        for name, meters in extra["metrics"].items()
    }
    history = state["optimizer_history"][-1]  # a restart adds an entry
    rest = {
        key: value for key, value in state.items() if key not in ("args", "extra_state", "optimizer_history")
    }
    return rest | {"extra_state": extra, "latest": history}


# 40 samples in batches of 4: 10 batches, 5 updates of 2, so 5 and 10 are ends of epochs.
@pytest.mark.parametrize("stop_at", [1, 4, 5, 7, 10])
def test_restart_equals_straight_run(train: Callable[..., Any], stop_at: int) -> None:
    options = (*BASE, "--update-freq", 2, "--validate-interval-updates", 2, "--toy-reorder")
    straight = train(*options, "--max-update", 13, into="straight")
    train(*options, "--max-update", stop_at, into="halves")
    halves = train(*options, "--max-update", 13, into="halves")
    assert straight.code == halves.code == 0
    assert_same(comparable(straight.state()), comparable(halves.state()))


def test_restart_logs_the_same_losses(train: Callable[..., Any]) -> None:
    straight = train(*BASE, "--max-update", 14, into="straight")
    train(*BASE, "--max-update", 8, into="halves")
    halves = train(*BASE, "--max-update", 14, into="halves")

    def losses(run: Any) -> Any:
        return [(event["num_updates"], event["loss"], event["lr"]) for event in run.events("train_inner")]

    assert losses(straight) == losses(halves)
    assert len(losses(straight)) == 14
    # The second epoch's averages are its own, not the first one's too.
    assert straight.events("train")[1]["loss"] == halves.events("train")[-1]["loss"]


def test_restart_with_another_number_of_workers(train: Callable[..., Any]) -> None:
    straight = train(*BASE, "--max-update", 13, into="straight")
    train(*BASE, "--max-update", 6, into="halves")
    halves = train(*BASE, "--max-update", 13, "--num-workers", 2, into="halves")
    assert_same(comparable(straight.state()), comparable(halves.state()))


def test_restart_from_a_file_within_an_epoch(train: Callable[..., Any]) -> None:
    straight = train(*BASE, "--max-update", 13, "--save-interval-updates", 6, into="straight")
    again = train(*BASE, "--max-update", 13, "--save-interval-updates", 6, "--restore-file",
                  straight.folder / "checkpoint_1_6.pt", into="again")  # fmt: skip
    assert_same(comparable(straight.state()), comparable(again.state()))
    assert again.events("train_inner")[0]["num_updates"] == 7


def test_data_of_an_interrupted_epoch_are_not_read_again(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from toy_plugin import ToyDataset

    train("--max-update", 6, "--disable-validation")
    seen = []
    plain = ToyDataset.__getitem__

    def spy(self: Any, index: Any) -> Any:
        seen.append(int(index))
        return plain(self, index)

    monkeypatch.setattr(ToyDataset, "__getitem__", spy)
    train("--max-epoch", 1, "--disable-validation")
    assert len(seen) == 4 * 4


def test_finished_run_trains_no_further(train: Callable[..., Any]) -> None:
    train("--max-update", 5)
    again = train("--max-update", 5)
    assert "nothing left to train" in again.out
    assert len(again.events("train_inner")) == 5


def test_patience_survives_a_restart(train: Callable[..., Any]) -> None:
    # The learning rate is 0 after the first update: no validation can be better than the first.
    stuck = (
        "--lr-scheduler",
        "polynomial_decay",
        "--total-num-update",
        1,
        "--patience",
        3,
        "--max-epoch",
        20,
    )
    first = train(*stuck)
    assert "early stop" in first.out
    assert [event["epoch"] for event in first.events("valid")] == [1, 2, 3, 4]
    again = train(*stuck)
    assert "patience was at its end" in again.out
    assert len(again.events("valid")) == 4


def test_without_optimizer_state_updates_are_still_counted(train: Callable[..., Any]) -> None:
    train("--max-update", 6, "--no-save-optimizer-state")
    again = train("--max-update", 9)
    assert "holds no optimiser state" in again.out
    assert [event["num_updates"] for event in again.events("train_inner")] == list(range(1, 10))


def test_command_wins_over_the_checkpoints_hyper_parameters(train: Callable[..., Any]) -> None:
    train("--max-update", 3, "--adam-eps", 1e-8)
    again = train("--max-update", 6, "--adam-eps", 1e-3)
    assert again.state()["last_optimizer_state"]["param_groups"][0]["eps"] == 1e-3


def test_changed_batch_size_rescales_the_position(train: Callable[..., Any]) -> None:
    train("--max-update", 5)
    again = train("--max-epoch", 1, "--batch-size", 2)
    assert "changed from 10 to 20" in again.out
    assert again.events("train_inner")[-1]["num_updates"] == 5 + 10


def test_other_loss_class_is_refused(train: Callable[..., Any]) -> None:
    train("--max-update", 2)
    path = train("--max-update", 2).folder / "checkpoint_last.pt"
    state = read_checkpoint(path)
    state["optimizer_history"][-1]["loss_name"] = "OtherLoss"
    torch.save(state, path)
    again = train("--max-update", 4)
    assert again.code == 2
    assert "trained with the loss OtherLoss" in again.err
    assert "--reset-optimizer" in again.err


def test_other_width_is_refused_in_one_line(train: Callable[..., Any]) -> None:
    train("--max-update", 2)
    again = train("--max-update", 4, "--toy-width", 5)
    assert again.code == 2
    assert again.err.count("\n") == 1
    assert "size mismatch for inside.weight" in again.err
