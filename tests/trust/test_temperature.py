"""Several classes: one temperature, sets by class, and their piece of a model's file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trust.calibrating import calibrate
from moleblend_plugin.trust.classes import multiclass_p_values, prediction_sets
from moleblend_plugin.trust.domain import Domain
from moleblend_plugin.trust.file import read_trust, write_trust
from moleblend_plugin.trust.model import HeldOut, Trust
from moleblend_plugin.trust.temperature import Temperature, fit_temperature, top_class_calibration_error

NAN = float("nan")
SMILES = ["C" * n + end for n in range(1, 14) for end in ("O", "N", "Cl", "c1ccccc1")]
N = len(SMILES)


def drawn(molecules: int, sharper: float = 1.0, seed: int = 0) -> tuple[Any, Any]:
    """Probabilities [M, 3] of a model that is too sure by a factor in its logits, and classes."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(molecules, 3), scale=1.5)
    true = softmax(logits)
    labels = (true.cumsum(1) > rng.random((molecules, 1))).argmax(1).astype(float)
    return softmax(sharper * logits), labels


def softmax(logits: Any) -> Any:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def several(**changes: Any) -> Trust:
    probabilities, labels = drawn(N, 3.0)
    labels[5], probabilities[7] = NAN, NAN
    held = HeldOut("folds", SMILES, np.arange(N), labels[:, None], probabilities, np.arange(N) % 4)
    domain = Domain.of(SMILES, np.arange(N))
    classes = ("low", "medium", "high")
    return calibrate("multiclass", ("tox",), domain, held._replace(**changes), classes)


def test_the_temperature_of_a_model_that_is_too_sure_is_found() -> None:
    probabilities, labels = drawn(20_000, 2.5)
    found = fit_temperature(probabilities, labels)
    assert found.value == pytest.approx(2.5, rel=0.03)
    better = found(probabilities)
    np.testing.assert_allclose(better.sum(1), 1)
    assert (better.argmax(1) == probabilities.argmax(1)).all()
    assert log_loss(labels, better) < log_loss(labels, probabilities)
    assert (
        top_class_calibration_error(better, labels)
        < 0.02
        < top_class_calibration_error(probabilities, labels)
    )


def test_few_labels_change_nothing_and_a_forest_s_zero_is_no_infinity() -> None:
    probabilities, labels = drawn(19, 2.5)
    assert fit_temperature(probabilities, labels) == Temperature()
    np.testing.assert_array_equal(Temperature()(probabilities), probabilities)
    sure = np.eye(3)[np.arange(60) % 3]
    wrong_now_and_then = np.where(np.arange(60) % 10 == 0, (np.arange(60) + 1) % 3, np.arange(60) % 3)
    found = fit_temperature(sure, wrong_now_and_then)
    assert np.isfinite(found(sure)).all()
    assert found(sure).max() == pytest.approx(0.9, abs=0.01)
    assert np.isnan(found([[NAN, 0.5, 0.5]])).all()


def test_sets_hold_the_class_of_the_promised_share_of_each_class() -> None:
    inside = np.zeros(3)
    for seed in range(40):
        p, y = drawn(300, seed=seed)
        new, truth = drawn(300, seed=1000 + seed)
        sets = prediction_sets(multiclass_p_values(p, y, new), 0.8)
        assert sets.any(1).all()
        inside += [sets[truth == each, each].mean() for each in range(3)]
    assert (inside / 40 > 0.78).all()
    assert (inside / 40 < 0.86).all()


def test_a_class_with_few_molecules_is_in_every_set() -> None:
    p, y = drawn(100)
    y[y == 2] = 0
    y[:5] = 2
    sets = prediction_sets(multiclass_p_values(p, y, drawn(50, seed=1)[0]), 0.9)
    assert sets[:, 2].all()


def test_trust_in_several_classes_comes_back_from_its_file() -> None:
    trust = several()
    assert trust.counts == {"tox": N - 2}
    assert isinstance(trust.held_out.maps[0], Temperature)
    new = drawn(9, seed=3)[0]
    assert trust.sets(new).shape == (9, 1, 3)
    np.testing.assert_allclose(trust.calibrated(new), trust.held_out.maps[0](new))
    facts = trust.summary()["targets"]["tox"]
    assert facts["molecules"] == N - 2
    assert facts["temperature"] > 1.5
    assert 0 <= facts["calibration_error_after"] < facts["calibration_error"] < 1
    with pytest.raises(MoleblendError, match="ask for prediction sets"):
        trust.intervals(new, np.zeros(9))
    again = read_trust(write_trust(trust))
    assert (again.kind, again.classes, again.held_out.maps) == (
        "multiclass",
        trust.classes,
        trust.held_out.maps,
    )
    np.testing.assert_array_equal(again.sets(new), trust.sets(new))


def test_a_file_whose_parts_do_not_fit_is_refused() -> None:
    trust = several()
    for broken in (
        replace(trust, classes=("low", "high")),
        replace(trust, names=("tox", "other")),
        replace(trust, calibration=replace(trust.held_out, maps=(Temperature(-1.0),))),
        replace(trust, calibration=replace(trust.held_out, maps=())),
    ):
        with pytest.raises(MoleblendError, match="not sound"):
            read_trust(write_trust(broken))


def test_without_held_out_molecules_there_is_the_domain_alone() -> None:
    trust = calibrate("multiclass", ("tox",), Domain.of(SMILES, np.arange(N)), None, ("a", "b", "c"))
    assert trust.kind == "multiclass"
    assert read_trust(write_trust(trust)).classes == ("a", "b", "c")
    with pytest.raises(MoleblendError, match="not trained on"):
        trust.sets([[0.2, 0.3, 0.5]])
