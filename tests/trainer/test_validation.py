"""When a run validates, what it saves, and when it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from tests.trainer.conftest import Run
from tests.trainer.same import assert_same


def weights(run: Run, name: str = "checkpoint_last.pt") -> dict[str, Tensor]:
    return run.state(name)["model"]


def losses(run: Run) -> list[float]:
    return [event["loss"] for event in run.events("train_inner")]


def test_every_subset_is_validated_and_the_first_selects(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 2, "--valid-subset", "valid,test", "--best-checkpoint-metric", "abs")
    events = run.events("valid")
    assert [event["subset"] for event in events] == ["valid", "test"] * 2
    assert "best_abs" in events[0]
    assert run.state()["extra_state"]["best"] == min(
        event["abs"] for event in events if event["subset"] == "valid"
    )


def test_best_checkpoint_is_the_best(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 6, "--lr", 0.3)
    by_epoch = {event["epoch"]: event["loss"] for event in run.events("valid")}
    best = min(by_epoch, key=by_epoch.get)
    assert best != 6
    assert_same(weights(run, "checkpoint_best.pt"), weights(run, f"checkpoint{best}.pt"))
    assert_same(weights(run), weights(run, "checkpoint6.pt"))


def test_larger_is_better_when_asked(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 4, "--maximize-best-checkpoint-metric", "--lr", 3e-2)
    assert_same(weights(run, "checkpoint_best.pt"), weights(run, "checkpoint1.pt"))


def test_unknown_metric_is_named_with_the_known_ones(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 2, "--best-checkpoint-metric", "auc")
    assert run.code == 2
    assert "--best-checkpoint-metric 'auc' is not logged on subset 'valid'" in run.err
    assert "choose from abs, loss, rmse" in run.err
    assert run.err.count("\n") == 1


def test_names_and_pruning_of_interval_checkpoints(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 2, "--save-interval-updates", 3, "--keep-interval-updates", 2)
    assert run.names() == [
        "checkpoint1.pt", "checkpoint2.pt", "checkpoint_2_15.pt", "checkpoint_2_18.pt",
        "checkpoint_best.pt", "checkpoint_last.pt",
    ]  # fmt: skip
    # Checkpoints within an epoch are validated.
    assert [event["num_updates"] for event in run.events("valid")] == [3, 6, 9, 10, 12, 15, 18, 20]


def test_keeping_the_last_epochs_and_the_best(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 5, "--keep-last-epochs", 2, "--keep-best-checkpoints", 2, "--lr", 0.3)
    kept = [name for name in run.names() if name.startswith("checkpoint.best_loss_")]
    best = sorted(event["loss"] for event in run.events("valid"))[:2]
    assert kept == [f"checkpoint.best_loss_{value:.5f}.pt" for value in best]
    assert [name for name in run.names() if name[10].isdigit()] == ["checkpoint4.pt", "checkpoint5.pt"]


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--no-epoch-checkpoints"], ["checkpoint_best.pt", "checkpoint_last.pt"]),
        (["--no-last-checkpoints"], ["checkpoint1.pt", "checkpoint2.pt", "checkpoint_best.pt"]),
        (["--save-interval", 2, "--disable-validation"], ["checkpoint2.pt", "checkpoint_last.pt"]),
    ],
)
def test_which_checkpoints_are_written(
    train: Callable[..., Any], flags: list[int | str], names: list[str]
) -> None:
    run = train("--max-epoch", 2, *flags)
    assert run.names() == names
    assert len(run.events("valid")) == (0 if "--disable-validation" in flags else 2)


def test_saving_nothing_leaves_no_folder(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 1, "--no-save")
    assert run.code == 0
    assert not run.folder.exists()


def test_validation_interval_delay_and_length(train: Callable[..., Any]) -> None:
    run = train("--max-update", 10, "--validate-interval-updates", 2, "--validate-after-updates", 5,
                "--max-valid-steps", 2)  # fmt: skip
    assert [(event["num_updates"], event["bsz"]) for event in run.events("valid")] == [
        (6, 8),
        (8, 8),
        (10, 8),
    ]


def test_stopping_by_rate_and_by_time(train: Callable[..., Any]) -> None:
    slow = train("--max-epoch", 9, "--lr", "0.1,0.01,0.001", "--stop-min-lr", 0.01, into="lr")
    assert [event["epoch"] for event in slow.events("train")] == [1, 2]
    timed = train("--max-epoch", 9, "--stop-time-hours", 1e-9, into="time")
    assert len(losses(timed)) == 1
    assert "--stop-time-hours" in timed.out
