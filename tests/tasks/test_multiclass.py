"""``--loss moleblend_multiclass``: one column of several classes, from the store to the predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss

from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.metrics.scores import MULTICLASS, score_multiclass
from tests.labelled import NAN, Table, fit, write_labelled

LOSS = "moleblend_multiclass"
NAMES = ("tox", "logS")


def tables(train: int = 24, valid: int = 9) -> dict[str, Table]:
    """Three classes, some missing, and a column of values."""
    rows = [[NAN if row % 8 == 7 else float(row % 3), 0.5 * row] for row in range(train)]
    return {"train": rows, "valid": rows[:valid]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("data"), tables(), NAMES)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, float]]]:
    folder = tmp_path_factory.mktemp("run")
    more = ("--target-columns", "tox", "--input-mode", "2d", "--class-names", "low,medium,high")
    logged = fit(data, folder, *more, "--class-weights", "balanced", "--max-epoch", 2, loss=LOSS)
    return folder / "checkpoint_last.pt", logged


def test_predictions_are_probabilities_of_the_named_classes(
    data: Path, run: tuple[Path, list[dict[str, float]]]
) -> None:
    checkpoint, logged = run
    predictor = Predictor.from_checkpoint(checkpoint, "cpu")
    assert (predictor.kind, predictor.kinds) == ("multiclass", ("multiclass",))
    assert (predictor.target_names, predictor.class_names) == (("tox",), ("low", "medium", "high"))
    predicted = predictor.predict_store(MoleculeStore(data / "valid.lmdb"))
    assert predicted.shape == (9, 3)
    np.testing.assert_allclose(predicted.sum(1), 1, rtol=1e-6)
    labels = np.array([record.targets[:1] for record in MoleculeStore(data / "valid.lmdb")])
    scores = score_multiclass(labels, predicted, ["tox"])
    assert set(MULTICLASS) <= set(logged[-1])
    for name, found in scores.items():
        assert logged[-1][name] == pytest.approx(found.mean, abs=2e-4), name


def test_the_loss_is_the_cross_entropy(data: Path, tmp_path: Path) -> None:
    logged = fit(data, tmp_path, "--target-columns", "tox", "--max-epoch", 1, loss=LOSS)
    predictor = Predictor.from_checkpoint(tmp_path / "checkpoint_last.pt", "cpu")
    assert predictor.class_names == ("0", "1", "2")
    labels = np.array([record.targets[0] for record in MoleculeStore(data / "valid.lmdb")])
    known = ~np.isnan(labels)
    predicted = predictor.predict_store(MoleculeStore(data / "valid.lmdb"))
    assert logged[-1]["loss"] == pytest.approx(log_loss(labels[known], predicted[known].round(7)), abs=2e-4)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "one column of classes, not 2 .tox, logS.: name it by --target-columns"),
        (("--target-columns", "logS"), "column 'logS' holds 0.5, but classes are whole numbers from 0"),
        (("--target-columns", "tox", "--num-classes", 2), "holds the class 2, but the run has 2 classes"),
        (("--target-columns", "tox", "--class-names", "a,b"), "holds the class 2, but the run has 2 classes"),
    ],
)
def test_what_is_no_such_column_is_refused(
    data: Path, tmp_path: Path, more: tuple[object, ...], message: str
) -> None:
    with pytest.raises(MoleblendError, match=message):
        fit(data, tmp_path, *more, "--max-epoch", 1, loss=LOSS)


def test_one_class_teaches_nothing(tmp_path: Path) -> None:
    data = write_labelled(tmp_path, {"train": [[2.0]] * 8, "valid": [[2.0]] * 4}, ("tox",))
    with pytest.raises(MoleblendError, match="tox has one class only"):
        fit(data, tmp_path / "run", "--max-epoch", 1, loss=LOSS)


def test_a_class_that_training_lacks_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [[float(row % 2)] for row in range(8)]
    data = write_labelled(tmp_path, {"train": rows, "valid": [*rows[:4], [2.0]]}, ("tox",))
    fit(data, tmp_path / "run", "--max-epoch", 1, "--class-names", "low,medium,high", loss=LOSS)
    assert "no label of class high; nothing is learned about it" in caplog.text
