"""Scores against values by hand, against counting pairs, and against scikit-learn on random labels."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn import metrics as sk

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics.scores import TaskScores, average_rows, score_classification, score_regression

NAN = float("nan")


@st.composite
def tables(draw: Any, classes: Any) -> Any:
    """(targets, predictions) [M, T] on coarse grids, so that ties, constants and gaps are common."""
    molecules, tasks = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    label = st.sampled_from([0.0, 1.0, NAN]) if classes else st.sampled_from([-2.0, 0.0, 0.5, 3.25, NAN])
    value = st.integers(0, 4).map(lambda n: n / 4)
    size = molecules * tasks
    targets = draw(st.lists(label, min_size=size, max_size=size))
    predictions = draw(st.lists(value, min_size=size, max_size=size))
    return np.reshape(targets, (molecules, tasks)), np.reshape(predictions, (molecules, tasks))


def expected(
    targets: npt.NDArray[np.float64],
    predictions: npt.NDArray[np.float64],
    score: Callable[..., Any],
    defined: Callable[..., Any],
) -> dict[str, float]:
    """{task: score} with plain loops."""
    found = {}
    for task in range(targets.shape[1]):
        pairs = [
            (t, p) for t, p in zip(targets[:, task], predictions[:, task], strict=True) if not np.isnan(t)
        ]
        if defined([t for t, _ in pairs]):
            found[f"t{task}"] = score(*map(np.array, zip(*pairs, strict=True)))
    return found


def names_of(targets: npt.NDArray[np.float64]) -> list[str]:
    return [f"t{task}" for task in range(targets.shape[1])]


def assert_scores(scores: TaskScores, expected_tasks: dict[str, float], names: list[str]) -> None:
    assert list(scores.per_task) == [name for name in names if name in expected_tasks]
    assert scores.left_out == tuple(name for name in names if name not in expected_tasks)
    assert scores.per_task == pytest.approx(expected_tasks, abs=1e-12)
    if expected_tasks:
        assert scores.mean == pytest.approx(sum(expected_tasks.values()) / len(expected_tasks), abs=1e-12)
    else:
        assert math.isnan(scores.mean)


def rank_pairs(labels: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> np.float64:
    """ROC-AUC by counting the pairs that are ordered rightly; ties count half."""
    wins = [(p > n) + (p == n) / 2 for p in values[labels == 1] for n in values[labels == 0]]
    return sum(wins) / len(wins)


@settings(max_examples=80, deadline=None)
@given(tables(classes=True))
def test_classification_is_scikit_learns_on_labelled_molecules(table: Any) -> None:
    targets, predictions = table
    names = names_of(targets)
    scores = score_classification(targets, predictions, names)
    for key, score in (
        ("roc_auc", sk.roc_auc_score),
        ("roc_auc", rank_pairs),
        ("pr_auc", sk.average_precision_score),
    ):
        assert_scores(scores[key], expected(targets, predictions, score, lambda t: len(set(t)) == 2), names)


def plain_spearman(labels: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> float:
    return spearmanr(labels, values).statistic if len(set(values)) > 1 else 0.0


@settings(max_examples=80, deadline=None)
@given(tables(classes=False))
def test_regression_is_scikit_learns_on_labelled_molecules(table: Any) -> None:
    targets, predictions = table
    names = names_of(targets)
    scores = score_regression(targets, predictions, names)
    some, spread = (lambda t: len(t) > 0), (lambda t: len(set(t)) > 1)
    for key, score, defined in (
        ("rmse", lambda t, p: math.sqrt(sk.mean_squared_error(t, p)), some),
        ("mae", sk.mean_absolute_error, some),
        ("r2", sk.r2_score, spread),
        ("spearman", plain_spearman, spread),
    ):
        assert_scores(scores[key], expected(targets, predictions, score, defined), names)


@settings(max_examples=50, deadline=None)
@given(tables(classes=True), st.randoms(use_true_random=False))
def test_the_order_of_molecules_does_not_matter(table: Any, random: Any) -> None:
    targets, predictions = table
    order = random.sample(range(len(targets)), len(targets))
    names = names_of(targets)
    one = score_classification(targets, predictions, names)
    other = score_classification(targets[order], predictions[order], names)
    for key in one:
        assert other[key].per_task == pytest.approx(one[key].per_task, abs=1e-12)


def test_scoring_loads_no_more_than_numpy() -> None:
    """A run that validates would pay for scikit-learn with a second and 90 MB."""
    code = (
        "import sys; from moleblend_plugin.metrics.scores import *\n"
        "score_regression([[1], [2], [4]], [[1], [3], [2]], ['y'])\n"
        "score_classification([[1], [0], [1]], [[0.5], [0.3], [0.2]], ['y'])\n"
        "score_multiclass([[1], [0], [2]], [[0.5, 0.3, 0.2]] * 3, ['y'])\n"
        "assert not {'sklearn', 'scipy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_classification_by_hand() -> None:
    targets = [[1, 0, NAN], [0, 0, NAN], [1, NAN, NAN], [0, 0, NAN]]
    values = [[0.9, 0.1, NAN], [0.8, 0.1, 5], [0.7, NAN, NAN], [0.1, 0.1, 0]]
    scores = score_classification(targets, values, ["a", "one class", "empty"])
    assert scores["roc_auc"].per_task == {"a": 0.75}
    assert scores["pr_auc"].per_task["a"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores["roc_auc"].left_out == scores["pr_auc"].left_out == ("one class", "empty")
    assert scores["roc_auc"].mean == 0.75


def test_regression_by_hand() -> None:
    scores = score_regression([[1.0], [2.0], [NAN], [4.0]], [[1.0], [4.0], [9.0], [3.0]], ["y"])
    assert scores["mae"].mean == 1.0
    assert scores["rmse"].mean == pytest.approx(math.sqrt(5 / 3))
    assert scores["r2"].mean == pytest.approx(1 - 5 / (14 / 3))  # labels 1, 2, 4 have squared deviation 14/3
    assert scores["spearman"].mean == pytest.approx(0.5)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1e-170), (0.0, 1e150), (1e11, 1e-3), (-5.0, 1.0)])
def test_r2_is_the_same_in_any_unit(shift: float, scale: float) -> None:
    labels, values = np.array([[0.0], [1.0], [3.0], [4.0]]), np.array([[0.5], [1.0], [2.0], [4.0]])
    scores = score_regression(shift + scale * labels, shift + scale * values, ["a"])
    assert scores["r2"].mean == pytest.approx(1 - 1.25 / 10, rel=0.01 if shift > 1 else 1e-12)


def test_one_molecule_has_errors_but_no_correlation_or_area() -> None:
    regression = score_regression([[2.0]], [[1.5]], ["y"])
    assert (regression["rmse"].mean, regression["mae"].mean) == (0.5, 0.5)
    assert regression["r2"].left_out == regression["spearman"].left_out == ("y",)
    assert math.isnan(regression["r2"].mean)
    assert score_classification([[1.0]], [[0.5]], ["y"])["roc_auc"] == (
        {},
        pytest.approx(NAN, nan_ok=True),
        ("y",),
    )


def test_constant_predictions_rank_nothing() -> None:
    regression = score_regression([[1.0], [2.0], [3.0]], [[2.0]] * 3, ["y"])
    assert regression["spearman"].per_task == {"y": 0.0}
    assert regression["r2"].per_task == {"y": 0.0}
    classes = score_classification([[1.0], [0.0], [0.0]], [[0.3]] * 3, ["y"])
    assert classes["roc_auc"].per_task == {"y": 0.5}
    assert classes["pr_auc"].per_task == {"y": pytest.approx(1 / 3)}


@pytest.mark.parametrize(
    ("score", "targets", "values", "names", "words"),
    [
        (score_classification, [[0.5]], [[1]], ["tox"], "task 'tox' has the label 0.5 (molecule number 0)"),
        (score_classification, [[1], [0]], [[1], [NAN]], ["tox"], "task 'tox': 1 of 2 labelled molecules"),
        (score_regression, [[1], [0]], [[1], [math.inf]], ["y"], "set such molecules aside before scoring"),
        (score_regression, [[math.inf]], [[1]], ["y"], "label inf"),
        (score_regression, [[1], [0]], [[1]], ["y"], "targets (2, 1) and predictions (1, 1) must both be"),
        (score_regression, [1, 0], [1, 0], ["y"], "must both be [molecules, tasks]"),
        (score_regression, [[1]], [[1]], ["y", "z"], "2 names for 1 tasks"),
        (score_regression, [[1, 1]], [[1, 1]], ["y", "y"], "two tasks have one name among y, y"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    score: Callable[..., Any],
    targets: list[int | list[float]],
    values: list[int | list[float]],
    names: list[str],
    words: str,
) -> None:
    with pytest.raises(MoleblendError) as error:
        score(targets, values, names)
    assert words in str(error.value)


def test_rows_are_averaged_per_molecule() -> None:
    unique, means = average_rows([7, 3, 7, 7], [[1.0, 0.0], [5.0, NAN], [2.0, 0.0], [6.0, 3.0]])
    assert unique.tolist() == [3, 7]
    np.testing.assert_array_equal(means, [[5.0, NAN], [3.0, 1.0]])


def test_rows_need_a_molecule_each() -> None:
    with pytest.raises(MoleblendError, match="one molecule number per row"):
        average_rows([0, 1], [[1.0]])
