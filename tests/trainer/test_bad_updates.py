"""Updates that are not finite are skipped, counted and written down; too many in a row end the run."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.trouble.bad_updates import BadUpdates, TooManyBadUpdates, merge_findings
from moleblend_plugin.trainer.trouble.nonfinite import Diagnosis, Growth, diagnose
from tests.trainer.conftest import Run
from tests.trainer.same import assert_same
from tests.trainer.test_processes import run as run_processes
from tests.trainer.test_resume import BASE, comparable

# 40 samples in batches of 4 and in order: item 13 is in the fourth batch of every epoch.
NAN = ("--toy-nan-index", 13, "--curriculum", 9)


def entries(run: Run) -> list[dict[str, int | list[int | str] | str]]:
    return [json.loads(line) for line in (run.folder / "bad_updates.jsonl").read_text().splitlines()]


def test_a_bad_update_is_skipped_counted_and_written_down(train: Callable[..., Any]) -> None:
    run = train(*NAN, "--max-epoch", 2)
    assert run.code == 0
    assert [event["num_updates"] for event in run.events("train_inner")] == list(range(1, 19))
    assert [event.get("bad_updates") for event in run.events("train_inner")] == [None] * 3 + [1] * 9 + [2] * 6
    assert entries(run) == [
        {
            "update": update,
            "epoch": epoch,
            "where": "the output of inside (Linear)",
            "indices": [12, 13, 14, 15],
            "row_ids": ["toy.csv:112", "toy.csv:113", "toy.csv:114", "toy.csv:115"],
            "suspects": [13],
            "terms": [],
        }
        for update, epoch in ((4, 1), (13, 2))
    ]
    assert "this update is skipped (2 so far, 1 in a row)" in run.out


def test_a_skipped_update_changes_nothing(train: Callable[..., Any]) -> None:
    """With the bad batch the last of the run: all state is that of the run without it."""
    options = (*NAN, *BASE, "--no-epoch-checkpoints")
    before = train(*options, "--max-update", 3, data=16, into="before")
    after = train(*options, "--max-epoch", 1, data=16, into="after")
    assert len(entries(after)) == 1
    for key in ("model", "last_optimizer_state", "ema"):
        assert_same(before.state()[key], after.state()[key])
    latest = [run.state()["optimizer_history"][-1] for run in (before, after)]
    # The schedule also heard that an epoch ended, which the first run did not reach.
    assert [state["num_updates"] for state in latest] == [3, 3]
    assert latest[0]["lr_scheduler_state"]["lr"] == latest[1]["lr_scheduler_state"]["lr"]


@pytest.mark.parametrize("stop_at", [3, 5, 9])  # before the bad batch, behind it, at the epoch's end
def test_restart_with_bad_updates_equals_straight_run(train: Callable[..., Any], stop_at: int) -> None:
    options = (*BASE, *NAN, "--update-freq", 1)
    straight = train(*options, "--max-update", 16, into="straight")
    train(*options, "--max-update", stop_at, into="halves")
    halves = train(*options, "--max-update", 16, into="halves")
    assert straight.events("train_inner")[-1]["bad_updates"] == 2
    assert_same(comparable(straight.state()), comparable(halves.state()))
    assert entries(straight) == entries(halves)


@pytest.mark.parametrize(("limit", "skipped"), [(0, 1), (1, 1), (3, 3)])
def test_too_many_in_a_row_end_the_run(train: Callable[..., Any], limit: int, skipped: int) -> None:
    run = train("--max-update", 20, "--toy-scale", 1e38, "--max-bad-updates", limit)
    assert run.code == 2
    assert len(entries(run)) == skipped
    assert run.err.count("\n") == 1
    assert "not finite at update 1, first in the output of the loss" in run.err
    assert "lower --lr, set --clip-norm, or look at the data" in run.err


def test_a_run_that_ends_so_keeps_its_weights_and_goes_on_behind_the_bad_batch(
    train: Callable[..., Any],
) -> None:
    options = (*NAN, *BASE, "--max-update", 12)
    straight = train(*options, into="straight")
    ended = train(*options, "--max-bad-updates", 0, into="parts")
    assert (ended.code, ended.state()["optimizer_history"][-1]["num_updates"]) == (2, 3)
    again = train(*options, "--max-bad-updates", 0, into="parts")
    assert again.code == 0
    assert_same(comparable(straight.state()), comparable(again.state()))


def test_bad_updates_far_apart_do_not_end_the_run(train: Callable[..., Any]) -> None:
    assert train(*NAN, "--max-epoch", 5, "--max-bad-updates", 2).code == 0


def test_in_a_row_counts_over_a_restart(train: Callable[..., Any]) -> None:
    """The last batch of an epoch of 2 and the first of the next, with a restart between them."""
    options = ("--toy-scale", 1e38, "--max-bad-updates", 3)
    first = train(*options, "--max-epoch", 1, data=8)
    assert (first.code, len(entries(first))) == (0, 2)
    again = train(*options, "--max-epoch", 2, data=8)
    assert (again.code, len(entries(again))) == (2, 3)


def test_gradients_too_large_for_their_norm_have_no_suspects(train: Callable[..., Any]) -> None:
    run = train("--max-epoch", 1, "--toy-scale", 1e30, data=4)
    assert [entry["suspects"] for entry in entries(run)] == [[]]
    assert [entry["where"] for entry in entries(run)] == ["the norm of all gradients"]


def test_a_gradient_that_is_not_finite_is_named() -> None:
    """The root of 0 is 0, its slope is infinite: only backward shows it."""

    class Root(nn.Module):
        def forward(self, model: Any, sample: Any) -> Any:
            return (model(sample["x"]) * 0).abs().sqrt().sum(), 2, {}

    torch.manual_seed(0)
    model, sample = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1)), {"x": torch.ones(2, 3), "index": [7, 8]}
    Root()(model, sample)[0].backward()
    found = diagnose(model, Root(), [sample], lambda number: nullcontext())
    assert found == Diagnosis("the gradient of 0.weight", False, [7, 8], [])


def test_terms_that_are_not_finite_are_named() -> None:
    """Of two terms the second is the logarithm of 0; what is logged besides is no term."""

    class Terms(nn.Module):
        def forward(self, model: Any, sample: Any) -> Any:
            terms = {"size": model(sample["x"]).sum(), "log": (model(sample["x"]) * 0).log().sum()}
            logged = {f"{name}_loss": term.detach() for name, term in terms.items()}
            return sum(terms.values()), 2, logged | {"loss": terms["log"].detach(), "bsz": 2}

    metrics.reset()
    model, sample = nn.Linear(3, 1), {"x": torch.ones(2, 3), "index": [7, 8]}
    found = diagnose(model, Terms(), [sample], lambda number: nullcontext())
    assert (found.where, found.terms) == ("the output of the loss", ["log"])
    bad = merge_findings([(found, []), (found, [])], update=3, epoch=1)
    assert bad.terms == ["log"]
    with pytest.raises(
        TooManyBadUpdates, match=r"first in the output of the loss \(terms: log\): 4 of the 4 molecules"
    ):
        BadUpdates(Namespace(max_bad_updates=1, save_dir=".", no_save=True), is_first=True).note(bad)
    metrics.reset()


def test_nothing_is_written_without_saving(train: Callable[..., Any]) -> None:
    run = train(*NAN, "--max-epoch", 1, "--no-save")
    assert run.code == 0
    assert not run.folder.exists()


@pytest.mark.long
def test_processes_skip_together(train: Callable[..., Any], tmp_path: Path) -> None:
    """Item 13 is in a batch of one process only; both skip, as one process with two batches does."""
    plain = (*NAN, "--max-epoch", 2)
    one = train(*plain, "--update-freq", 2, into="one")
    done = run_processes(tmp_path / "two", *plain, "--distributed-world-size", 2)
    assert done.code == 0, done.err
    for name, value in one.state()["model"].items():
        torch.testing.assert_close(done.state()["model"][name], value, rtol=1e-4, atol=1e-6)
    two = [json.loads(line) for line in (tmp_path / "two" / "bad_updates.jsonl").read_text().splitlines()]
    assert two == entries(one)
    assert two[0]["indices"] == [*range(8, 16)]


def test_a_diverged_model_is_blamed_and_its_weights_replace_nothing(train: Callable[..., Any]) -> None:
    """A step so long that no molecule can be done afterwards: the data are as they were."""
    run = train("--max-update", 20, "--lr", 1e30, "--save-interval-updates", 1, "--max-bad-updates", 2)
    assert (run.code, run.err.count("\n")) == (2, 1)
    assert "the model has diverged, it fails on other molecules too: lower --lr or set --clip-norm" in run.err
    assert "rows" not in run.err
    assert "look at the data" not in run.err
    assert run.state()["extra_state"]["train_iterator"]["iterations_in_epoch"] == 1  # the save before


def test_a_single_molecule_is_not_taken_for_a_diverged_model(train: Callable[..., Any]) -> None:
    run = train(*NAN, "--max-epoch", 2, "--max-bad-updates", 1)
    assert run.code == 2
    assert "1 of the 4 molecules alone" in run.err
    assert "diverged" not in run.err


class Squares(nn.Module):
    def forward(self, model: Any, sample: Any) -> Any:
        return (model(sample["x"]) - sample["target"]["y"]).square().sum(), len(sample["x"]), {}


def batch(
    values: list[float], targets: list[float], indices: list[int]
) -> dict[str, Tensor | dict[str, Tensor] | list[int]]:
    return {
        "x": torch.tensor(values).view(-1, 1),
        "target": {"y": torch.tensor(targets).view(-1, 1)},
        "index": indices,
    }


@pytest.mark.parametrize(
    ("scale", "values", "targets", "grown", "cause"),
    [
        (1.0, [1.0, float("nan")], [1.0, 1.0], False, "molecules"),
        (1.0, [1.0, 1.0], [1.0, float("inf")], False, "labels"),
        (1e30, [1.0, 1.0], [1.0, 1.0], False, "model"),
        (float("nan"), [1.0, 1.0], [1.0, 1.0], False, "model"),
        (1.0, [1.0, 1.0], [1.0, 1.0], True, "model"),
        (1.0, [1.0, 1.0], [1.0, 1.0], False, ""),
    ],
)
def test_what_is_to_blame(
    scale: float, values: list[float], targets: list[float], grown: bool, cause: str
) -> None:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, scale)
    probe = batch([2.0, 3.0, 4.0], [1.0, 1.0, 1.0], [1, 2, 3])
    sample = batch(values, targets, [7, 8])
    found = diagnose(model, Squares(), [sample], lambda number: nullcontext(), probe=probe, grown=grown)
    assert found.cause == cause


def test_before_any_update_a_model_has_not_diverged() -> None:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 1e30)
    sample = batch([1.0, 1.0], [1.0, 1.0], [7, 8])
    assert diagnose(model, Squares(), [sample], lambda number: nullcontext()).cause == "molecules"


def test_a_loss_out_of_all_proportion_is_divergence() -> None:
    growth = Growth()
    for loss in (3.0, 0.5, 40.0):
        growth.update(loss)
    assert not growth.diverged
    growth.update(1e5)
    assert growth.diverged
