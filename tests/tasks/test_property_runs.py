"""Whole property runs: what checkpoints hold, going on, several processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.host.in_process import train_in_process
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.models.property.network import encoder_part
from moleblend_plugin.tasks.load import load_encoder, load_property_model
from moleblend_plugin.tasks.property.task import MoleblendPropertyTask
from tests.labelled import (
    CLASSES,
    RUN,
    SMALL,
    class_tables,
    fit,
    options,
    regression_tables,
    validations,
    write_labelled,
)
from tests.trainers import EMBEDDED


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    args = options(folder, task="moleblend_pretrain")
    torch.save({"model": MoleBlend(SMALL).state_dict(), "args": args}, folder / "pretrained.pt")
    return folder / "pretrained.pt"


@pytest.fixture(scope="module")
def trained(pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of stores, and a run of three epochs on it from pretrained weights."""
    data = write_labelled(tmp_path_factory.mktemp("data"), regression_tables(), conformers=2)
    run = tmp_path_factory.mktemp("run")
    fit(data, run, "--max-epoch", 3, "--finetune-from-model", pretrained, "--ema-decay", 0.9)
    return data, run


def test_the_best_checkpoint_is_kept_with_what_prediction_needs(trained: tuple[Path, Path]) -> None:
    data, run = trained
    args = read_checkpoint(run / "checkpoint_best.pt")["args"]
    named = {name: getattr(args, name) for name in ("task", "loss", "target_names", "input_mode", "readout")}
    assert named == {
        "task": "moleblend_property",
        "loss": "moleblend_regression",
        "target_names": ["a", "b"],
        "input_mode": "both",
        "readout": "cls",
    }
    model, _ = load_property_model(run / "checkpoint_best.pt")
    np.testing.assert_allclose(
        model.target_mean, np.nanmean(np.array(regression_tables()["train"]), 0), rtol=1e-6
    )
    assert not model.training
    averaged, _ = load_property_model(run / "checkpoint_best.pt", use_ema=True)
    assert not torch.equal(averaged.head.out.weight, model.head.out.weight)
    encoder, _ = load_encoder(run / "checkpoint_best.pt")
    assert torch.equal(encoder.encoder.graph_token, model.encoder.graph_token)


PREDICT = """
import sys, torch
from moleblend_plugin.data.batches.labelled import PropertyMolecules
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.tasks.load import load_property_model
model, _ = load_property_model(sys.argv[1])
items = PropertyMolecules(MoleculeStore(sys.argv[2]), [0, 1], "both", 1, conformers="all")
batch = items.collate([items[index] for index in range(len(items))])
with torch.no_grad():
    torch.save(model.predict(**batch["net_input"]), sys.argv[3])
"""


def test_a_new_process_predicts_the_same(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = trained
    given = [str(path) for path in (run / "checkpoint_last.pt", data / "valid.lmdb", tmp_path / "other.pt")]
    subprocess.run([sys.executable, "-c", PREDICT, *given], check=True, timeout=300)
    monkeypatch.setattr(sys, "argv", ["-c", *given[:2], str(tmp_path / "own.pt")])
    exec(PREDICT, {})  # the same lines here
    own, other = torch.load(tmp_path / "own.pt"), torch.load(tmp_path / "other.pt")
    torch.testing.assert_close(other, own, rtol=1e-6, atol=1e-6)
    assert len(own) == 2 * len(MoleculeStore(data / "valid.lmdb"))


def test_a_pretraining_checkpoint_predicts_nothing(pretrained: Path) -> None:
    with pytest.raises(
        MoleblendError, match="predicts no property: it is a checkpoint of --task moleblend_pretrain"
    ):
        load_property_model(pretrained)
    encoder, _ = load_encoder(pretrained)
    assert set(encoder.state_dict()) == set(encoder_part(MoleBlend(SMALL).state_dict()))


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    data = write_labelled(tmp_path, regression_tables(), conformers=2)
    settings = ("--layer-lr-decay", 0.8, "--head-dropout", 0.1, "--readout", "attention")
    straight = fit(data, tmp_path / "straight", "--max-update", 6, *settings)
    fit(data, tmp_path / "halves", "--max-update", 4, *settings)
    halves = fit(data, tmp_path / "halves", "--max-update", 6, *settings)
    assert halves[-1]["rmse"] == pytest.approx(straight[-1]["rmse"], rel=1e-6)


def test_only_the_chosen_splits_are_read(tmp_path: Path) -> None:
    write_labelled(tmp_path, class_tables())
    (tmp_path / "test.lmdb").write_bytes(b"no store")
    metric = ("--best-checkpoint-metric", "roc_auc", "--maximize-best-checkpoint-metric", "--patience", 1)
    logs = fit(tmp_path, tmp_path / "run", "--max-epoch", 20, *metric, "--freeze-layers", 2, loss=CLASSES)
    best = [log["roc_auc"] for log in logs]
    assert len(best) < 20 or best == sorted(best)  # patience ended it
    assert {"loss", "roc_auc", "pr_auc", "tasks_counted"} <= set(logs[0])


def test_two_processes_measure_what_one_does(trained: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = trained
    settings = ("--loss", "moleblend_regression", "--cpu", "--max-epoch", 1, "--lr", 1e-9)
    start = ("--finetune-from-model", run / "checkpoint_last.pt")
    command = [*EMBEDDED, data, "--user-dir", "moleblend_plugin", *RUN, *settings, *start]
    logs = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        more = ["--distributed-world-size", processes, "--save-dir", folder]
        done = subprocess.run(
            [str(word) for word in (*command, *more)], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        logs.append(validations(folder)[-1])
    for name in ("loss", "rmse", "mae", "r2"):
        assert logs[1][name] == pytest.approx(logs[0][name], rel=1e-4, abs=1e-4), name
    # Batches of other sizes round otherwise, which may swap two predictions that nearly tie: 0.016 of nine.
    assert logs[1]["spearman"] == pytest.approx(logs[0]["spearman"], abs=0.05)


@pytest.mark.parametrize(
    ("given", "epochs"),
    [
        ((), []),
        (("--save-interval", 1), ["checkpoint1.pt", "checkpoint2.pt"]),
        (("--save-interval", 2), ["checkpoint2.pt"]),
        (("--keep-last-epochs", 1), ["checkpoint2.pt"]),
        (("--keep-last-epochs", -1), ["checkpoint1.pt", "checkpoint2.pt"]),
        (("--no-last-checkpoints",), ["checkpoint1.pt", "checkpoint2.pt"]),
        (("--disable-validation",), ["checkpoint1.pt", "checkpoint2.pt"]),
        (("--no-epoch-checkpoints",), []),
    ],
)
def test_fine_tuning_keeps_the_best_and_the_last(
    tmp_path: Path, given: tuple[object, ...], epochs: list[str]
) -> None:
    """A checkpoint of every epoch is asked for, by Uni-Core's flags."""
    write_labelled(tmp_path, regression_tables(8, 4))
    words = (*RUN, "--loss", "moleblend_regression", "--save-dir", tmp_path / "run", "--max-epoch", 2, *given)
    train_in_process([str(word) for word in (tmp_path, *words)])
    kept = {path.name for path in (tmp_path / "run").glob("*.pt")}
    assert sorted(name for name in kept if name[10].isdigit()) == epochs
    if not given:
        assert kept == {"checkpoint_best.pt", "checkpoint_last.pt"}


def test_training_data_can_be_sent_to_a_spawned_worker(tmp_path: Path) -> None:
    """What forkserver and spawn do: the copy reads the same molecules, and knows the epoch."""
    write_labelled(tmp_path, regression_tables(8, 4))
    task = MoleblendPropertyTask.setup_task(options(tmp_path))
    task.load_dataset("train")
    dataset = task.datasets["train"]
    dataset.set_epoch(3)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.molecules.epoch == 3
    for name, value in dataset[2].items():
        np.testing.assert_array_equal(value, copy[2][name])
