"""Resume, fine-tune, several processes and averaged weights under Uni-Core's own trainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainers import EMBEDDED, NO_DROPOUT, TORCHRUN, UNICORE, last_state, logged, needs_unicore, train
from tests.uni_core.conftest import SETTINGS, distance

pytestmark = needs_unicore


def test_it_trains_validates_and_saves(straight: tuple[Path, str]) -> None:
    folder, log = straight
    updates = logged(log, "train_inner")
    assert [line["num_updates"] for line in updates] == list(range(1, 25))
    assert updates[-1]["loss"] < updates[0]["loss"]
    # After epochs 1, 2 and 3, and with the checkpoint of update 12.
    assert [line["num_updates"] for line in logged(log, "valid")] == [8, 12, 16, 24]
    names = {path.name for path in folder.glob("*.pt")}
    assert {"checkpoint1.pt", "checkpoint_2_12.pt", "checkpoint_best.pt", "checkpoint_last.pt"} <= names


def test_a_run_broken_off_within_an_epoch_goes_on_to_the_same_bits(
    data: Path, tmp_path: Path, straight: tuple[Path, str]
) -> None:
    folder, log = straight
    settings = [*SETTINGS, "--restore-file", folder / "checkpoint_2_12.pt", "--max-update", 24]
    rest = train(UNICORE, data, tmp_path, *settings)
    keys = ("num_updates", "loss", "lr", "gnorm")
    for left, right in zip(logged(rest, "train_inner"), logged(log, "train_inner")[12:], strict=True):
        assert [left[key] for key in keys] == [right[key] for key in keys]
    ours, theirs = last_state(tmp_path), last_state(folder)
    assert distance(ours["model"], theirs["model"]) == 0
    assert distance(ours["ema"]["params"], theirs["ema"]["params"]) == 0


def test_weights_and_their_average_are_those_of_the_embedded_host(
    data: Path, tmp_path: Path, straight: tuple[Path, str]
) -> None:
    train(EMBEDDED, data, tmp_path, *SETTINGS, "--max-update", 24)
    ours, theirs = last_state(tmp_path), last_state(straight[0])
    assert distance(ours["model"], theirs["model"]) < 1e-4
    assert distance(ours["ema"]["params"], theirs["ema"]["params"]) < 1e-4
    assert distance(ours["ema"]["params"], ours["model"]) > 1e-3  # the average is not the weights


def test_scores_of_the_averaged_weights_are_those_of_the_embedded_host(data: Path, tmp_path: Path) -> None:
    """A model of Uni-Core's own LayerNorm would be validated with half live, half averaged weights (W1)."""
    settings = [*SETTINGS, "--validate-with-ema", "--lr", "1e-2", "--max-update", 12]
    theirs = logged(train(UNICORE, data, tmp_path / "u", *settings), "valid")
    ours = logged(train(EMBEDDED, data, tmp_path / "e", *settings), "valid")
    assert len(ours) == len(theirs) == 2
    for left, right in zip(ours, theirs, strict=True):
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-4)


@pytest.mark.parametrize(("before", "host"), [(UNICORE, UNICORE), (EMBEDDED, UNICORE), (UNICORE, EMBEDDED)])
def test_fine_tuning_starts_from_the_weights_of_either_host(
    data: Path,
    tmp_path: Path,
    straight: tuple[Path, str],
    before: list[str],
    host: list[str],
) -> None:
    """One update so small that the weights are still those of the pretrained model."""
    folder = straight[0]
    if before is EMBEDDED:
        folder = tmp_path / "before"
        train(EMBEDDED, data, folder, *SETTINGS, "--max-update", 2)
    source = folder / "checkpoint_last.pt"
    log = train(host, data, tmp_path, *NO_DROPOUT, "--finetune-from-model", source, "--lr", "1e-9",
                "--max-update", 1)  # fmt: skip
    assert [line["num_updates"] for line in logged(log, "train_inner")] == [1]
    assert distance(last_state(tmp_path)["model"], last_state(folder)["model"]) < 1e-5


def test_two_processes_equal_two_batches_per_update(data: Path, tmp_path: Path) -> None:
    """Five molecules in validation batches of 2: the second process has a batch less."""
    settings = [*SETTINGS, "--max-update", 12]
    one = train(UNICORE, data, tmp_path / "one", *settings, "--update-freq", 2)
    command = [*TORCHRUN, "2", *UNICORE[1:]]
    gloo = ["--distributed-backend", "gloo", "--ddp-backend", "no_c10d"]
    two = train(command, data, tmp_path / "two", *settings, *gloo)
    assert len(logged(one, "train_inner")) == 12
    for tag, keys in (("train_inner", ("loss", "bsz", "gnorm", "lr")), ("valid", ("loss", "distance_mae"))):
        for left, right in zip(logged(two, tag), logged(one, tag), strict=True):
            values, expected = ([line[key] for key in keys] for line in (left, right))
            assert values == pytest.approx(expected, rel=1e-5, abs=1.01e-4)  # logs round to four decimals
    left, right = last_state(tmp_path / "two"), last_state(tmp_path / "one")
    assert distance(left["model"], right["model"]) < 1e-5
    assert distance(left["ema"]["params"], right["ema"]["params"]) < 1e-5
