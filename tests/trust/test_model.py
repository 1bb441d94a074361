"""What a model's trust says from held-out predictions, and its file: back as it was, damage in one line."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trust import calibrating
from moleblend_plugin.trust.calibrating import calibrate
from moleblend_plugin.trust.calibration import expected_calibration_error, fit_platt, sigmoid
from moleblend_plugin.trust.domain import Domain, nearest, packed_ecfp4
from moleblend_plugin.trust.file import TrustFile, read_trust, write_trust
from moleblend_plugin.trust.intervals import half_widths
from moleblend_plugin.trust.model import HeldOut, Trust

NAN = float("nan")
SMILES = ["C" * n + end for n in range(1, 14) for end in ("O", "N", "Cl", "c1ccccc1")]
N = len(SMILES)
FOLDS = np.arange(N) % 4


def regression(**changes: Any) -> Trust:
    """Two targets, of which the second has eight labels; rows are every second of what was given."""
    random = np.random.default_rng(0)
    targets = random.normal(size=(N, 2))
    targets[8:, 1] = NAN
    predictions = targets + random.normal(size=(N, 2))
    predictions[3, 0] = NAN
    held = HeldOut("folds", SMILES, np.arange(N) * 2, targets, predictions, FOLDS)
    return calibrate("regression", ("y", "z"), Domain.of(SMILES, np.arange(N) * 2), held._replace(**changes))


def classification(**changes: Any) -> Trust:
    random = np.random.default_rng(1)
    truth = random.normal(size=N)
    y = (random.random(N) < sigmoid(2 * truth)).astype(float)[:, None]
    held = HeldOut("validation", SMILES, np.arange(N), y, sigmoid(5 * truth)[:, None])
    domain = Domain.of([smiles + "F" for smiles in SMILES], np.arange(N) + N)
    return calibrate("classification", ("y",), domain, held._replace(**changes), ("inactive", "active"))


def test_intervals_are_of_the_residuals_and_of_what_their_model_knew() -> None:
    trust = regression()
    held = trust.held_out
    packed = packed_ecfp4(SMILES)
    np.testing.assert_array_equal(held.similarity, nearest(packed, packed, FOLDS, FOLDS).similarity)
    assert trust.counts == {"y": N - 1, "z": 8}
    assert trust.too_few(0.9) == {"z": 8}
    assert trust.too_few(0.8) == {}
    found = trust.intervals([[1.0, 2.0], [NAN, 0.0]], [0.8, 0.1], 0.9)
    line = held.lines[0]
    half = half_widths(held.residuals[:, 0], held.similarity, [0.8, 0.1], line, 0.9, "normalised")
    np.testing.assert_allclose(found[0, 0], [1 - half[0], 1 + half[0]])
    assert np.isnan(found[1, 0]).all()
    assert found[0, 1].tolist() == [-np.inf, np.inf]
    absolute = trust.intervals([[1.0, 2.0]], [0.8], 0.9, "absolute")[0, 0]
    errors = np.sort(np.abs(held.residuals[:, 0]))
    assert absolute[1] - 1 == pytest.approx(errors[int(np.ceil(N * 0.9)) - 1]), "51 residuals, NaN is last"


def test_a_level_that_no_target_reaches_is_one_line() -> None:
    with pytest.raises(MoleblendError, match="an interval at level 0.99 needs 99 molecules that .* are 51"):
        regression().intervals([[0.0, 0.0]], [1.0], 0.99)
    with pytest.raises(MoleblendError, match=r"level=90: give a number between 0 and 1"):
        regression().intervals([[0.0, 0.0]], [1.0], 90)


def test_classes_have_probabilities_and_sets_and_no_intervals() -> None:
    trust = classification()
    held = trust.held_out
    map_ = fit_platt(held.predictions[:, 0], held.targets[:, 0])
    assert map_.slope < 0.9
    np.testing.assert_allclose(trust.calibrated([[0.9], [0.2]])[:, 0], map_([0.9, 0.2]))
    assert trust.sets([[0.999], [0.5], [0.001], [NAN]]).tolist()[0::2] == [[[False, True]], [[True, False]]]
    assert not trust.sets([[NAN]]).any()
    with pytest.raises(MoleblendError, match="ask for prediction sets"):
        trust.intervals([[0.5]], [1.0])
    with pytest.raises(MoleblendError, match="the model is a regression"):
        regression().sets([[0.5, 0.5]])


def test_the_error_after_calibration_is_of_molecules_that_it_was_not_fitted_on() -> None:
    trust = classification()
    p, y = trust.held_out.predictions[:, 0], trust.held_out.targets[:, 0]
    groups, expected = np.arange(N) % 5, p.copy()
    for group in range(5):
        expected[groups == group] = fit_platt(p[groups != group], y[groups != group])(p[groups == group])
    found = trust.summary()["targets"]["y"]
    assert found["calibration_error_after"] == expected_calibration_error(expected, y)
    assert found["calibration_error_after"] < found["calibration_error"]


def test_without_held_out_molecules_only_the_domain_is_known() -> None:
    trust = calibrate("regression", ("y",), Domain.of(SMILES, range(N)))
    assert trust.nearest(["CCO"]).similarity.tolist() == [1.0]
    assert trust.summary()["targets"] == {}
    for ask in (lambda: trust.intervals([[1.0]], [1.0]), lambda: trust.counts):
        with pytest.raises(
            MoleblendError, match="no predictions of molecules that it was not trained on: fit"
        ):
            ask()


def test_a_summary_is_plain() -> None:
    for trust in (regression(), classification()):
        again = json.loads(json.dumps(trust.summary(0.8), allow_nan=False))
        assert again == trust.summary(0.8)
    found = regression().summary()["targets"]
    assert found["z"] == {"molecules": 8, "half_width": None}
    assert found["y"]["half_width"] > 0


def test_a_large_set_has_similarities_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "MOST", 20)
    trust = regression()
    assert np.isfinite(trust.held_out.similarity).sum() == 20
    assert np.isfinite(trust.intervals([[0.0, 0.0]], [0.5], 0.8)[0, 0]).all()


# ------------------------------------------------------------------------------------------------------ file


@pytest.mark.parametrize("make", [regression, classification])
def test_it_comes_back_as_it_was(make: Any) -> None:
    trust = make()
    kept = write_trust(trust)
    again = read_trust(TrustFile(json.loads(json.dumps(kept.about, allow_nan=False)), kept.arrays))
    assert again.summary() == trust.summary()
    assert (again.names, again.classes, again.domain.smiles) == (
        trust.names,
        trust.classes,
        trust.domain.smiles,
    )
    near = again.nearest(["CCCCO"])
    assert near.place.tolist() == trust.nearest(["CCCCO"]).place.tolist()
    if make is regression:
        np.testing.assert_array_equal(
            again.intervals([[1.0, 2.0]], [0.4]), trust.intervals([[1.0, 2.0]], [0.4])
        )
    else:
        np.testing.assert_array_equal(again.calibrated([[0.3]]), trust.calibrated([[0.3]]))
    bare = calibrate("regression", ("y",), Domain.of(SMILES[:3], range(3)))
    assert np.isnan(read_trust(write_trust(bare)).domain.threshold)


def changed(name: str, value: np.ndarray) -> bytes:
    with np.load(io.BytesIO(write_trust(regression()).arrays)) as archive:
        arrays = {key: archive[key] for key in archive.files}
    packed = io.BytesIO()
    np.savez(packed, **arrays | {name: value})  # type: ignore[arg-type]
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fingerprints", np.zeros((3, 256), np.uint8)),
        ("fingerprints", np.zeros((N, 256), np.int16)),
        ("targets", np.zeros((N, 1))),
        ("targets", np.zeros((N, 2), object)),
        ("predictions", np.zeros(N)),
        ("similarity", np.zeros(2)),
        ("rows", np.zeros(N)),
        ("domain_rows", np.zeros(2, np.int64)),
    ],
)
def test_strange_arrays_are_one_line(name: str, value: np.ndarray) -> None:
    with pytest.raises(MoleblendError, match="trust in predictions is not sound: save the model again"):
        read_trust(TrustFile(write_trust(regression()).about, changed(name, value)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2, "version": "9"}, r"of a newer moleblend_plugin \(9\): update the package"),
        ({"format": "1"}, "is not sound"),
        ({"kind": "ranking"}, "is not sound"),
        ({"names": []}, "is not sound"),
        ({"classes": [1]}, "is not sound"),
        ({"smiles": ["C"]}, "is not sound"),
        ({"threshold": "far"}, "is not sound"),
        ({"calibration": {"source": "folds"}}, "is not sound"),
        (
            {"calibration": {"source": "folds", "lines": [[0, 1]] * 2, "maps": [], "error_after": []}},
            "is not sound",
        ),
        (
            {"calibration": {"source": "guess", "lines": [[1, 1]] * 2, "maps": [], "error_after": []}},
            "is not sound",
        ),
    ],
)
def test_a_strange_description_is_one_line(changes: dict[str, Any], words: str) -> None:
    kept = write_trust(regression())
    with pytest.raises(MoleblendError, match=words):
        read_trust(kept._replace(about=kept.about | changes))


def test_damaged_arrays_are_one_line() -> None:
    kept = write_trust(regression())
    flipped = bytearray(kept.arrays)
    flipped[len(flipped) // 2] ^= 1
    for arrays in (kept.arrays[:100], bytes(flipped), b"", b"text"):
        with pytest.raises(MoleblendError, match="trust") as caught:
            read_trust(kept._replace(arrays=arrays))
        assert "\n" not in str(caught.value)
