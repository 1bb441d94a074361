"""``--loss moleblend_mixed``: columns of values and of classes in one run, each with its own loss."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.label_kinds import each_kind, kind_of_all
from moleblend_plugin.losses.property import classification_loss, mixed_loss, regression_loss
from moleblend_plugin.metrics.scores import score_classification, score_regression
from moleblend_plugin.trainer.checkpoints.file import read_checkpoint
from tests.labelled import NAN, RUN, Table, fit, write_labelled
from tests.trainers import EMBEDDED, TIMEOUT, TORCHRUN

NAMES = ("logS", "toxic", "pIC50")
LOSS = "moleblend_mixed"
READS = ("--class-columns", "toxic", "--input-mode", "2d")


def tables(train: int = 24, valid: int = 9) -> dict[str, Table]:
    """Values, classes, values of another scale; some labels are missing."""
    rng = np.random.default_rng(0)
    found = {}
    for split, rows in (("train", train), ("valid", valid)):
        table = rng.normal([100.0, 0.0, -3.0], [10.0, 1.0, 0.5], (rows, 3))
        table[:, 1] = table[:, 1] > 0
        table[::4, 2], table[1::5, 1] = NAN, NAN
        found[split] = table.tolist()
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("data"), tables(), NAMES)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, float]]]:
    folder = tmp_path_factory.mktemp("run")
    logged = fit(data, folder, *READS, "--max-epoch", 2, loss=LOSS)
    return folder / "checkpoint_last.pt", logged


def test_each_column_has_the_loss_of_its_kind() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(5, 3, generator=generator)
    targets = torch.tensor([[0.3, 1, -1], [NAN, 0, 2], [1, NAN, NAN], [0, 1, 0.5], [2, 0, 1]])
    is_class = torch.tensor([False, True, False])
    weight = torch.tensor([1.0, 3.0, 1.0])
    found = mixed_loss(outputs, targets, is_class, "mae", weight)
    expected = torch.zeros(5, 3)
    for row in range(5):
        for column in range(3):
            label: Tensor = targets[row, column]
            if label.isnan():
                continue
            logit = outputs[row, column]
            cross = F.binary_cross_entropy_with_logits(logit, label, pos_weight=weight[1])
            expected[row, column] = cross if column == 1 else (logit - label).abs()
    torch.testing.assert_close(found.loss, expected)
    assert torch.equal(found.present, ~targets.isnan())
    every, none = torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)
    assert torch.equal(mixed_loss(outputs, targets, none).loss, regression_loss(outputs, targets).loss)
    classes = torch.where(targets.isnan(), NAN, (targets > 0.5).float())
    assert torch.equal(mixed_loss(outputs, classes, every).loss, classification_loss(outputs, classes).loss)


def test_a_gradient_of_one_column_does_not_touch_the_others() -> None:
    outputs = torch.zeros(2, 3, requires_grad=True)
    targets = torch.tensor([[NAN, 1, NAN], [NAN, 0, NAN]])
    mixed_loss(outputs, targets, torch.tensor([False, True, False])).loss.sum().backward()
    assert outputs.grad is not None
    torch.testing.assert_close(outputs.grad, torch.tensor([[0, -0.5, 0], [0, 0.5, 0]]))


def test_predictions_are_probabilities_and_values_in_units(
    data: Path, run: tuple[Path, list[dict[str, float]]]
) -> None:
    checkpoint, logged = run
    predictor = Predictor.from_checkpoint(checkpoint, "cpu")
    assert (predictor.kind, predictor.kinds) == ("mixed", ("regression", "classification", "regression"))
    predicted = predictor.predict_store(MoleculeStore(data / "valid.lmdb"))
    assert ((predicted[:, 1] > 0) & (predicted[:, 1] < 1)).all()
    assert (np.abs(predicted[:, 0] - 100) < 20).all()
    assert (np.abs(predicted[:, 2] + 3) < 2).all()
    labels = np.array([record.targets for record in MoleculeStore(data / "valid.lmdb")])
    last = logged[-1]
    classes = score_classification(labels[:, [1]], predicted[:, [1]], ["toxic"])
    values = score_regression(labels[:, [0, 2]], predicted[:, [0, 2]], ["logS", "pIC50"])
    for name, found in (classes | values).items():
        assert last[name] == pytest.approx(found.mean, abs=2e-4), name
    weights = read_checkpoint(checkpoint)["model"]
    mean, std = weights["target_mean"].numpy(), weights["target_std"].numpy()
    train = np.array([record.targets for record in MoleculeStore(data / "train.lmdb")])
    np.testing.assert_allclose(mean, [np.nanmean(train[:, 0]), 0, np.nanmean(train[:, 2])], rtol=1e-6)
    np.testing.assert_allclose(std, [np.nanstd(train[:, 0]), 1, np.nanstd(train[:, 2])], rtol=1e-5)
    known = ~np.isnan(labels)
    squares = ((predicted - labels) / std) ** 2
    p = np.where(known, labels, 0) * predicted + (1 - np.where(known, labels, 0)) * (1 - predicted)
    each = np.where(np.arange(3) == 1, -np.log(np.where(np.arange(3) == 1, p, 1)), squares)
    assert last["loss"] == pytest.approx(each[known].mean(), abs=2e-4)  # every label counts alike


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "needs columns of classes, named by --class-columns.*moleblend_regression"),
        (("--class-columns", "logS,toxic,pIC50"), "moleblend_classification where all are of one kind"),
        (("--class-columns", "tox"), "'tox' is no column of labels; they are logS, toxic, pIC50"),
        (("--class-columns", "logS"), "column 'logS' holds .* but classes are 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused(data: Path, tmp_path: Path, given: tuple[str, ...], words: str) -> None:
    with pytest.raises(MoleblendError, match=words):
        fit(data, tmp_path, *given, "--max-epoch", 1, loss=LOSS)


def test_the_best_checkpoint_may_be_chosen_by_a_score_of_either_kind(data: Path, tmp_path: Path) -> None:
    more = ("--best-checkpoint-metric", "roc_auc", "--maximize-best-checkpoint-metric")
    fit(data, tmp_path, *READS, *more, "--class-weights", "balanced", "--max-epoch", 1, loss=LOSS)
    assert (tmp_path / "checkpoint_best.pt").is_file()


@pytest.mark.long
def test_two_processes_learn_as_one_with_two_batches_an_update(data: Path, tmp_path: Path) -> None:
    """Labels of either kind are counted over both, though their batches hold unequal numbers of them."""
    settings = (*READS, "--max-epoch", 1, "--clip-norm", 1, "--no-save-optimizer-state")
    fit(data, tmp_path / "one", *settings, "--update-freq", 2, loss=LOSS)
    given = (data, *RUN, "--loss", LOSS, *settings, "--save-dir", tmp_path / "two", "--cpu")
    words = [str(word) for word in given]
    done = subprocess.run(
        [*TORCHRUN, "2", *EMBEDDED[1:], *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MOLEBLEND_HOST": "embedded"},
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "train.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert [event["event"] for event in one] == ["train_inner", "train_inner", "valid", "train"]
    assert len(two) == 4
    for left, right in zip(one, two, strict=True):
        assert left["event"] == right["event"]
        shown = [name for name in ("loss", "gnorm", "bsz", "rmse", "roc_auc") if name in left]
        assert "loss" in shown
        assert [right[name] for name in shown] == pytest.approx([left[name] for name in shown], rel=1e-4)


def test_kinds_of_columns() -> None:
    assert each_kind("regression", 2) == ("regression", "regression")
    assert kind_of_all(("regression", "classification")) == "mixed"
    assert kind_of_all(("classification",)) == "classification"
    with pytest.raises(ValueError, match="a kind each"):
        each_kind("mixed", 2)
