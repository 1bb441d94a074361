"""Mistakes that trainers let pass in silence end in one line, before anything is built."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.pretrain import PretrainLossConfig
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.tasks import base
from moleblend_plugin.tasks.guards import (
    check_best_metric,
    check_run,
    check_warmup,
    check_weights,
    even_batches,
)
from moleblend_plugin.tasks.pretrain.loss import MoleblendPretrainLoss
from moleblend_plugin.tasks.pretrain.model import MoleBlendModel
from moleblend_plugin.tasks.pretrain.task import MoleblendPretrainTask
from tests.tasks.test_pretrain import arguments, write_stores

HOSTS = ("embedded", "unicore")
NOTHING_SAVED = {"no_epoch_checkpoints": True, "disable_validation": True}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_epoch": 0}, "the run has no end: give --max-epoch or --max-update"),
        ({"max_epoch": 0, "warmup_ratio": 0.1}, "the run has no end, so --warmup-ratio 0.1 is a share"),
        ({"no_save": True, "disable_validation": True}, "keep nothing and measure nothing"),
    ],
)
def test_runs_that_cannot_be_are_refused(
    tmp_path: Path, host: str, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(MoleblendError, match=named):
        check_run(arguments(tmp_path, **options), host)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "options", [{}, {"no_save": True}, {"disable_validation": True}, {"max_epoch": 0, "max_update": 9}]
)
def test_runs_that_can_be_are_not(tmp_path: Path, host: str, options: dict[str, Any]) -> None:
    args = arguments(tmp_path, **options)
    before = vars(args).copy()
    check_run(args, host)
    assert vars(args) == before


@pytest.mark.parametrize(
    ("options", "refused_by"),
    [
        ({"no_epoch_checkpoints": True}, {"unicore"}),
        ({"no_epoch_checkpoints": True, "save_interval_updates": 5}, set()),
        ({"no_epoch_checkpoints": True, "max_update": 5}, set()),  # saved where the run ends
        (NOTHING_SAVED, {"unicore"}),  # the embedded trainer still keeps checkpoint_last.pt
        (NOTHING_SAVED | {"no_last_checkpoints": True}, {"unicore", "embedded"}),
        (NOTHING_SAVED | {"no_last_checkpoints": True, "save_interval_updates": 5}, set()),
    ],
)
def test_runs_that_save_nothing_are_refused(
    tmp_path: Path, options: dict[str, Any], refused_by: set[str]
) -> None:
    refused = set()
    for host in HOSTS:
        try:
            check_run(arguments(tmp_path, **options), host)
        except MoleblendError as error:
            assert "--save-interval-updates" in str(error)  # noqa: PT017  which hosts refuse is the point
            refused.add(host)
    assert refused == refused_by


def last_checkpoint(folder: Path, **args: object) -> None:
    folder.mkdir()
    state = {"model": {}, "optimizer_history": [], "extra_state": {}, "args": argparse.Namespace(**args)}
    torch.save(state, folder / "checkpoint_last.pt")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("began", "told"),
    [(None, "began from fresh weights"), ("other.pt", "began from other.pt"), ("weights.pt", None)],
)
def test_finetuning_that_would_be_ignored_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, began: str | None, told: str | None
) -> None:
    """The same command again goes on with the run; another start in the same folder is a mistake."""
    monkeypatch.chdir(tmp_path)
    last_checkpoint(tmp_path / "run", finetune_from_model=began)
    args = arguments(tmp_path, finetune_from_model=str(tmp_path / "weights.pt"))
    if told is None:
        check_run(args, host)
    else:
        with pytest.raises(MoleblendError, match=f"would be ignored: .*{told}; choose an empty --save-dir"):
            check_run(args, host)


def test_files_of_uni_core_are_prepared_in_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    args = {host: arguments(tmp_path, tmp_save_dir="./") for host in HOSTS}
    for host in HOSTS:
        check_run(args[host], host)
    assert args["embedded"].tmp_save_dir == "./"  # has no effect there
    assert args["unicore"].tmp_save_dir == str(tmp_path / "run" / "tmp")
    assert (tmp_path / "run" / "tmp").is_dir()
    assert "is the working directory, which other runs may share" in caplog.text


class SecondLoss(MoleblendPretrainLoss):
    """A user's loss that logs more, and does not tell."""

    @staticmethod
    def reduce_metrics(logging_outputs: list[dict[str, Any]], split: str = "train") -> None:
        raise NotImplementedError


def test_unknown_best_metrics_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    loss = MoleblendPretrainLoss(None, PretrainLossConfig(), 20.0)
    published = MoleblendPretrainLoss(None, PretrainLossConfig(), 20.0, "direction")
    for metric, rises in (("loss", False), ("distance_mae", False), ("denoise_cosine", True)):
        chosen = {"best_checkpoint_metric": metric, "maximize_best_checkpoint_metric": rises}
        check_best_metric(arguments(tmp_path, **chosen), loss)
        chosen["maximize_best_checkpoint_metric"] = not rises
        with pytest.raises(MoleblendError, match=f"{'higher' if rises else 'lower'} is better, so the worst"):
            check_best_metric(arguments(tmp_path, **chosen), loss)
    wrong = arguments(tmp_path, best_checkpoint_metric="distance_mse")
    with pytest.raises(
        MoleblendError, match="'distance_mse' is not logged in validation: choose from loss, spd_l"
    ):
        check_best_metric(wrong, loss)
    with pytest.raises(MoleblendError, match="direction_cosine"):
        check_best_metric(arguments(tmp_path, best_checkpoint_metric="distance_mae"), published)
    check_best_metric(wrong, SecondLoss(None, PretrainLossConfig(), 20.0))
    check_best_metric(arguments(tmp_path, best_checkpoint_metric="x", disable_validation=True), loss)


@pytest.mark.parametrize("head", ["distance", "direction"])
def test_the_names_are_those_that_are_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    task = MoleblendPretrainTask.setup_task(arguments(write_stores(tmp_path, {"train": [5, 6]})))
    task.load_dataset("train")
    model = MoleBlendModel(replace(PRESETS["moleblend_tiny"], pair_target=head))
    loss = MoleblendPretrainLoss(task, PretrainLossConfig(), 20.0, head)
    data = task.dataset("train")
    logged: list[str] = []
    monkeypatch.setattr(
        "moleblend_plugin.tasks.term_loss.log_scalar", lambda key, *args, **kw: logged.append(key)
    )
    MoleblendPretrainLoss.reduce_metrics([loss(model, data.collater([data[0], data[1]]))[2]], "valid")
    assert sorted(logged) == sorted(loss.logged_names())


def test_weights_that_fit_nowhere_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    own = {"a": torch.ones(2), "b": torch.ones(3)}
    with pytest.raises(
        MoleblendError, match="the checkpoint holds x, the model wants a, b; give a checkpoint"
    ):
        check_weights(own, {"x": torch.ones(2)}, "unicore")
    with pytest.raises(
        MoleblendError, match=r"size mismatch for a: \(4,\) in the checkpoint, \(2,\) in the m"
    ):
        check_weights(own, {"a": torch.ones(4)}, "embedded")
    check_weights(own, {"a": torch.ones(2)}, "embedded")
    assert caplog.text == ""
    check_weights(own, {"a": torch.ones(2), "x": torch.ones(2)}, "unicore")
    assert "1 of 2 weights are loaded (a); fresh: b; in the checkpoint only: x" in caplog.text


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_of_a_diverged_run_are_refused(bad: float) -> None:
    """No training mends NaN, and lowering --lr, which the run would advise, does not help."""
    own = {"mask": torch.tensor([-float("inf"), 0.0]), "a": torch.zeros(2), "count": torch.tensor(3)}
    given = own | {"a": torch.tensor([1.0, bad])}
    with pytest.raises(MoleblendError, match="of a run that diverged: its weight a is not finite"):
        check_weights(own, given, "embedded")
    check_weights(own, own | {"x": torch.tensor(bad)}, "embedded")  # a mask, and what is not loaded


def test_the_model_asks_before_it_loads() -> None:
    model = MoleBlendModel(PRESETS["moleblend_tiny"])
    name, value = next(iter(model.state_dict().items()))
    other = value.clone() + 1
    with pytest.raises(MoleblendError, match="no weight would be loaded"):
        model.load_state_dict({"x": other}, strict=False, model_args=argparse.Namespace())
    assert name not in model.load_state_dict({name: other}, strict=False).missing_keys
    assert torch.equal(model.state_dict()[name], other)
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({name: other})


def test_a_warm_up_of_no_updates_is_refused(tmp_path: Path) -> None:
    args = arguments(tmp_path, warmup_ratio=0.1, update_freq=[4])
    check_warmup(args, 3)
    with pytest.raises(MoleblendError, match="2 batches per epoch are not even one update"):
        check_warmup(args, 2)
    check_warmup(arguments(tmp_path, update_freq=[4]), 2)


@pytest.mark.parametrize("shards", [1, 2, 3, 5, 8])
def test_even_batches_keep_every_item_once_and_in_order(shards: int) -> None:
    batches = [np.arange(start, min(start + 4, 18)) for start in range(0, 18, 4)]
    even = even_batches(batches, shards)
    assert len(even) % shards == 0
    assert len(even) - len(batches) < shards
    assert np.concatenate(even).tolist() == list(range(18))
    assert all(0 < len(batch) <= 4 for batch in even)


def test_more_processes_than_molecules_are_refused() -> None:
    with pytest.raises(MoleblendError, match="3 molecules cannot be shared evenly among 4 processes"):
        even_batches([[0, 1], [2]], 4)


@pytest.mark.parametrize(
    ("host", "frequency", "batches"), [("unicore", [2], 4), ("unicore", [1], 3), ("embedded", [2], 3)]
)
def test_only_uni_cores_groups_are_evened_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, frequency: list[int], batches: int
) -> None:
    monkeypatch.setattr(base, "HOST", host)
    monkeypatch.setattr(base, "write_record", lambda *args: None)
    monkeypatch.setattr(base.unicore_trainer(), "extend_unicore", lambda: None)  # it may not be installed
    folder = write_stores(tmp_path, {"train": [4, 9, 1, 7, 12, 5, 6, 8], "valid": [3, 3, 3, 3, 3]})
    task = MoleblendPretrainTask.setup_task(arguments(folder, update_freq=frequency))
    for split, expected in (("train", batches), ("valid", 3)):
        task.load_dataset(split)
        size = 3 if split == "train" else 2
        found = task.get_batch_iterator(task.dataset(split), batch_size=size, num_shards=2)
        assert len(found.batches) == expected
