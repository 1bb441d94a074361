"""Weights of base models: closed forms, known mixtures, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from moleblend_plugin.ensembles.weights import LEAST, fit_weights, weighted_mean
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import LabelKind

NAN = float("nan")
KINDS: tuple[LabelKind, ...] = ("classification", "regression")


def made(kind: LabelKind, molecules: int, models: int = 3, tasks: int = 1, seed: int = 0) -> tuple:
    """Predictions [K, M, T] and labels [M, T] of models that know something, the first most."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=(molecules, tasks))
    noisy = np.stack([truth + (0.5 + k) * random.normal(size=truth.shape) for k in range(models)])
    if kind == "regression":
        return noisy, truth
    return 1 / (1 + np.exp(-noisy)), (random.random(truth.shape) < 1 / (1 + np.exp(-truth))).astype(float)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_a_mean(kind: LabelKind) -> None:
    predictions, labels = made(kind, 40, models=4, tasks=3)
    weights = fit_weights(predictions, labels, kind)
    assert weights.shape == (4, 3)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(0), 1)
    combined = weighted_mean(predictions, weights)
    assert (combined <= predictions.max(0) + 1e-12).all()
    assert (combined >= predictions.min(0) - 1e-12).all()


def test_a_weighted_mean_by_hand() -> None:
    predictions = np.array([[[1.0, 10.0]], [[3.0, 30.0]]])  # [K=2, M=1, T=2]
    np.testing.assert_allclose(weighted_mean(predictions, [[0.25, 1.0], [0.75, 0.0]]), [[2.5, 10.0]])


def test_two_models_of_values_have_a_closed_form() -> None:
    """Unbiased errors that hang together not at all: weights are inverse to their variances."""
    random = np.random.default_rng(0)
    labels = random.normal(size=(200_000, 1))
    errors = random.normal(size=(2, 200_000, 1)) * np.array([1.0, 2.0])[:, None, None]
    weights = fit_weights(labels + errors, labels, "regression")[:, 0]
    np.testing.assert_allclose(weights, [0.8, 0.2], atol=0.005)


def test_values_agree_with_a_general_optimiser() -> None:
    """The same objective, prior and all, through scipy's SLSQP."""
    predictions, labels = made("regression", 25, models=4, seed=1)
    weights = fit_weights(predictions, labels, "regression")[:, 0]
    errors = predictions[:, :, 0] - labels[:, 0]
    square, equal = errors @ errors.T / 25, np.full(4, 0.25)
    strength = equal @ square @ equal / (25 * 3 / (16 * 5))

    def objective(w: np.ndarray) -> float:
        return float(w @ square @ w + strength * ((w - equal) ** 2).sum())

    found = minimize(
        objective,
        equal,
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(weights, found.x, atol=1e-5)


def test_a_known_mixture_is_found_again() -> None:
    """Classes drawn from a mixture of two models that disagree: its weights are the most likely ones."""
    random = np.random.default_rng(0)
    first, second = random.random((2, 100_000))
    labels = (random.random(100_000) < 0.7 * first + 0.3 * second).astype(float)
    predictions = np.stack([first, second])[:, :, None]
    weights = fit_weights(predictions, labels[:, None], "classification")[:, 0]
    np.testing.assert_allclose(weights, [0.7, 0.3], atol=0.01)


def test_classes_agree_with_a_general_optimiser() -> None:
    predictions, labels = made("classification", 60, seed=2)
    weights = fit_weights(predictions, labels, "classification")[:, 0]
    likelihood = np.where(labels[:, 0] > 0.5, predictions[:, :, 0], 1 - predictions[:, :, 0])
    likelihood = np.clip(likelihood, LEAST, 1 - LEAST)

    def objective(w: np.ndarray) -> float:
        return float(
            -np.log(w @ likelihood).sum() - np.log(w).sum()
        )  # one label per model, shared out equally

    found = minimize(
        objective,
        np.full(3, 1 / 3),
        bounds=[(1e-6, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12},
    )
    np.testing.assert_allclose(weights, found.x, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_few_labels_leave_weights_near_equal_and_many_do_not(kind: LabelKind) -> None:
    few, many = (made(kind, molecules, seed=3) for molecules in (4, 20_000))
    distance = [np.abs(fit_weights(*one, kind) - 1 / 3).max() for one in (few, many)]
    assert distance[0] < 0.25 < distance[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_of_few_labels_takes_the_shared_weights(kind: LabelKind) -> None:
    predictions, labels = made(kind, 3000, tasks=3, seed=4)
    labels[3:, 1] = NAN
    labels[:, 2] = NAN
    weights = fit_weights(predictions, labels, kind)
    equal = np.full(3, 1 / 3)
    assert np.abs(weights[:, 1] - weights[:, 0]).max() < np.abs(weights[:, 0] - equal).max()
    np.testing.assert_allclose(weights[:, 2], fit_weights(predictions, labels, kind)[:, 2])
    assert np.abs(weights[:, 2] - weights[:, 0]).max() < 0.05, "no label: what all tasks together say"


@pytest.mark.parametrize("kind", KINDS)
def test_missing_labels_and_weight_0_are_molecules_that_are_not_there(kind: LabelKind) -> None:
    predictions, labels = made(kind, 50)
    alone = fit_weights(predictions[:, :40], labels[:40], kind)
    hidden = labels.copy()
    hidden[40:] = NAN
    spoiled = predictions.copy()
    spoiled[:, 40:] = NAN
    np.testing.assert_allclose(fit_weights(spoiled, hidden, kind), alone)
    counts = np.repeat([2.5, 0.0], [40, 10])  # their scale means nothing
    np.testing.assert_allclose(fit_weights(predictions, labels, kind, counts), alone, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_models_and_units_do_not_matter(kind: LabelKind) -> None:
    predictions, labels = made(kind, 60, tasks=2)
    weights = fit_weights(predictions, labels, kind)
    np.testing.assert_allclose(fit_weights(predictions[::-1], labels, kind), weights[::-1], atol=1e-6)
    if kind == "regression":
        unit = np.array([1000.0, 0.01])
        np.testing.assert_allclose(fit_weights(predictions * unit, labels * unit, kind), weights, atol=1e-9)


def test_equal_models_share_and_one_model_has_all() -> None:
    predictions, labels = made("regression", 30, models=1)
    np.testing.assert_allclose(fit_weights(np.tile(predictions, (3, 1, 1)), labels, "regression"), 1 / 3)
    np.testing.assert_array_equal(fit_weights(predictions, labels, "regression"), [[1.0]])
    predictions, labels = made("classification", 30, models=1)
    np.testing.assert_allclose(fit_weights(np.tile(predictions, (3, 1, 1)), labels, "classification"), 1 / 3)


def test_a_forest_s_certain_mistake_does_not_rule_it_out() -> None:
    """A probability of 0 for what is: without a limit one label would take all its weight."""
    random = np.random.default_rng(0)
    labels = (random.random(400) < 0.5).astype(float)
    sure = np.where(labels > 0, 0.95, 0.05)
    sure[0] = 1 - labels[0]
    unsure = np.full(400, 0.5)
    weights = fit_weights(np.stack([sure, unsure])[:, :, None], labels[:, None], "classification")
    assert weights[0, 0] > 0.9


@pytest.mark.parametrize(
    ("predictions", "labels", "words"),
    [
        (np.zeros((2, 3, 1)), np.zeros((4, 1)), r"\(2, 3, 1\) do not fit labels of shape \(4, 1\)"),
        (np.zeros((2, 3, 1)), np.full((3, 1), NAN), "every label is missing"),
        (np.full((2, 3, 1), NAN), np.zeros((3, 1)), "prediction of a labelled molecule is not finite"),
    ],
)
def test_what_cannot_be_weighed(predictions: np.ndarray, labels: np.ndarray, words: str) -> None:
    with pytest.raises(MoleblendError, match=words):
        fit_weights(predictions, labels, "regression")
