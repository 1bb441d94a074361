"""Losses of labels against torch on the labels that are there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.property import (
    MulticlassConfig,
    RegressionForm,
    classification_loss,
    multiclass_loss,
    regression_loss,
)
from moleblend_plugin.tasks.property.loss import balanced, balanced_classes

NAN = float("nan")


def made(rows: int, columns: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Outputs, values and which of them are labelled."""
    generator = torch.Generator().manual_seed(seed)
    outputs, values = torch.randn(2, rows, columns, generator=generator)
    return outputs, values, torch.rand(rows, columns, generator=generator) < 0.7


def test_classification_is_cross_entropy_of_the_labels_that_are_there() -> None:
    logits, values, known = made(50, 4)
    classes = (values > 0).float()
    loss, present = classification_loss(logits, torch.where(known, classes, NAN))
    assert torch.equal(present, known)
    expected = F.binary_cross_entropy_with_logits(logits[known], classes[known], reduction="sum")
    torch.testing.assert_close(loss.sum(), expected)
    assert not loss[~known].any()


def test_a_missing_label_has_no_gradient() -> None:
    for objective in (classification_loss, regression_loss):
        outputs = torch.zeros(2, 2, requires_grad=True)
        objective(outputs, torch.tensor([[1.0, NAN], [NAN, NAN]])).loss.sum().backward()
        assert outputs.grad is not None
        assert (outputs.grad != 0).tolist() == [[True, False], [False, False]]


def test_positives_weigh_as_much_as_negatives_when_balanced() -> None:
    weight = balanced(np.array([1, 0, 4]), np.array([3, 5, 2]))
    assert weight.tolist() == [3.0, 1.0, 0.5]  # the second has no positives: nothing to balance
    classes = torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    loss = classification_loss(torch.zeros(4, 1), classes, weight[:1]).loss[:, 0]
    torch.testing.assert_close(loss[0], loss[1:].sum())


@pytest.mark.parametrize(
    ("form", "small", "large"),
    [("mse", 0.25, 9.0), ("mae", 0.5, 3.0), ("smooth_l1", 0.125, 2.5), ("huber", 0.125, 2.5)],
)
def test_regression_forms_by_hand(form: RegressionForm, small: float, large: float) -> None:
    loss, present = regression_loss(torch.tensor([[0.5, 3.0, 7.0]]), torch.tensor([[0.0, 0.0, NAN]]), form)
    assert loss.tolist() == [[small, large, 0.0]]
    assert present.tolist() == [[True, True, False]]


def test_several_classes_are_cross_entropy_of_the_softmax() -> None:
    logits, _, _ = made(30, 4)
    classes = torch.arange(30) % 4
    targets = classes.float()[:, None]
    targets[::7] = NAN
    known = ~targets[:, 0].isnan()
    weight = torch.tensor([1.0, 2.0, 0.5, 3.0])
    loss, present = multiclass_loss(logits, targets, weight)
    assert torch.equal(present[:, 0], known)
    assert loss.shape == (30, 1)
    expected = F.cross_entropy(logits[known], classes[known], weight, reduction="sum")
    torch.testing.assert_close(loss.sum(), expected)
    assert not loss[~known].any()


def test_balanced_classes_weigh_as_scikit_learn_does() -> None:
    labels = [0] * 6 + [1] * 3 + [3] * 1
    counts = np.bincount(labels).tolist()
    weights = balanced_classes(counts, 5).numpy()
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    np.testing.assert_allclose(weights[[0, 1, 3]], expected, rtol=1e-6)
    assert weights[[2, 4]].tolist() == [1.0, 1.0]
    assert np.mean(weights[labels]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("number", "names", "message"),
    [
        (1, "", "--num-classes 1: give 2 to"),
        (3, "a,b", "gives 2 names for --num-classes 3"),
        (0, "a,b,a", "name every class once"),
    ],
)
def test_classes_that_cannot_be_are_refused(number: int, names: str, message: str) -> None:
    with pytest.raises(MoleblendError, match=message):
        MulticlassConfig(number, names)


def test_names_of_classes_are_their_numbers_unless_given() -> None:
    assert MulticlassConfig(3).names == ("0", "1", "2")
    assert MulticlassConfig(0, 'low,"high, toxic"').names == ("low", "high, toxic")
