"""Checkpoints of members while they are trained: what may still be chosen stays, and no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moleblend_plugin.inference.estimators.epoch_files import EpochFiles, curve_so_far

LOSSES = {1: 0.9, 2: 0.4, 3: 0.5, 4: 0.8, 5: 0.3, 6: 0.7}


def trained(run: Path, losses: dict[int, float], unsaved: str = "") -> Path:
    """A run that was validated, and saved, at these epochs; ``unsaved`` is a line that is being written."""
    run.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"event": "train", "epoch": 1, "loss": 0.1})]
    for epoch, loss in losses.items():
        lines += [json.dumps({"event": "valid", "subset": "valid", "epoch": epoch, "loss": loss})]
        lines += [json.dumps({"event": "valid", "subset": "test", "epoch": epoch, "loss": 0.0})]
        (run / f"checkpoint{epoch}.pt").touch()
    (run / "checkpoint_best.pt").touch()
    (run / "train.jsonl").write_text("\n".join(lines) + "\n" + unsaved)
    return run


def kept(run: Path) -> list[str]:
    return sorted(path.name.removeprefix("checkpoint").removesuffix(".pt") for path in run.glob("*.pt"))


def test_while_members_remain_to_be_trained_a_share_stays(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("one", "two", "three")]
    files = EpochFiles(runs, [10, 10, 10], "loss")
    files.tidy()
    trained(runs[0], LOSSES, '{"event": "valid", "subset": "valid", "epo')
    files.tidy()
    assert kept(runs[0]) == ["2", "3", "5", "6"], "a quarter of the epochs, four at least"
    trained(runs[1], {1: 0.0, 2: 0.9, 3: 0.1, 4: 0.0, 5: 1.0})
    files.tidy()
    assert (kept(runs[0]), kept(runs[1])) == (["2", "3", "6"], ["1", "2", "3", "4"])
    assert [files.lacking(epoch) for epoch in (2, 4, 5)] == [[2], [0, 2], [0, 1, 2]]
    assert files.path(1, 3).is_file()


def test_when_all_members_are_on_their_way_the_best_so_far_is_enough(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("one", "two")]
    files = EpochFiles(runs, [10, 10], "loss")
    other = {1: 0.1, 2: 0.9, 3: 0.9, 4: 0.1, 5: 0.9, 6: 0.9}
    for epoch in LOSSES:
        for run, losses in zip(runs, (LOSSES, other), strict=True):
            before = kept(run)
            trained(run, {past: losses[past] for past in range(1, epoch + 1)})
            for past in range(1, epoch):
                if str(past) not in before:
                    (run / f"checkpoint{past}.pt").unlink()
        files.tidy()
        means = {past: LOSSES[past] + other[past] for past in range(1, epoch + 1)}
        best = min(means, key=lambda past: means[past])
        assert kept(runs[0]) == kept(runs[1]) == [str(best)]


def test_one_epoch_alone_and_epochs_without_validation(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", LOSSES)
    (run / "train.jsonl").write_text((run / "train.jsonl").read_text().replace('"epoch": 4', '"epoch": 7'))
    waiting = tmp_path / "waiting"
    EpochFiles([run, waiting], [1, 1], "loss", rises=True).tidy()
    assert kept(run) == ["1", "3", "6"], "4 was not validated; 7, 1, 6 and 3 are the largest"
    EpochFiles([run, waiting], [1, 1], "loss", only=3).tidy()
    assert kept(run) == ["3"]


def test_a_missing_value_is_nan_and_no_log_no_curve(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", {1: 0.5})
    assert curve_so_far(run / "train.jsonl", "auc") == {1: pytest.approx(float("nan"), nan_ok=True)}
    assert curve_so_far(tmp_path / "none.jsonl", "loss") == {}
