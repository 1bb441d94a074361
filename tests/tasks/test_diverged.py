"""A property run that diverges speaks of its model, not of molecules; labels are blamed for themselves."""

import math
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics.scores import score_regression
from moleblend_plugin.tasks.property.loss import check_finite
from tests.labelled import fit, regression_tables, write_labelled


def test_a_learning_rate_of_a_million(tmp_path: Path) -> None:
    write_labelled(tmp_path, regression_tables())
    with pytest.raises(MoleblendError) as ended:
        fit(tmp_path, tmp_path / "run", "--lr", 1e8, "--max-epoch", 30, "--max-bad-updates", 3)
    assert "the model has diverged" in str(ended.value)
    assert "lower --lr or set --clip-norm" in str(ended.value)
    assert "molecules aside" not in str(ended.value)


ONES = np.ones((10, 1))


@pytest.mark.parametrize(
    ("bad", "loss", "model"), [(1, 0.5, False), (9, 0.5, True), (2, 1e9, True), (0, 1e9, False)]
)
def test_few_predictions_of_a_good_model_are_no_divergence(bad: int, loss: float, model: bool) -> None:
    predictions = ONES.copy()
    predictions[:bad] = math.inf
    losses = np.full(10, loss, np.float32)
    losses[:bad] = math.inf
    if model:
        with pytest.raises(MoleblendError, match=f"diverged: {bad} of 10 predictions"):
            check_finite(predictions, ONES, losses)
    else:
        check_finite(predictions, ONES, losses)


def test_a_missing_label_needs_no_prediction() -> None:
    predictions, targets = ONES.copy(), ONES.copy()
    predictions[0] = targets[0] = math.nan
    check_finite(predictions, targets, np.ones(9, np.float32))


@pytest.mark.parametrize(
    ("targets", "predictions", "told"),
    [
        ([[math.inf], [1.0]], [[1.0], [1.0]], "1 labels are infinite .*correct them"),
        ([[1.0], [1.0]], [[math.nan], [math.nan]], "2 of 2 .*the model that made them has diverged"),
        ([[1.0], [1.0], [2.0]], [[math.nan], [1.0], [1.0]], "1 of 3 .*set such molecules aside"),
    ],
)
def test_scores_blame_what_is_to_blame(targets: list[float], predictions: list[float], told: str) -> None:
    with pytest.raises(MoleblendError, match=told):
        score_regression(targets, predictions, ["y"])
