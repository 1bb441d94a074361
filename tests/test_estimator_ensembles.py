"""Estimators of several networks: folds, seeds, stacks, and their one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from moleblend_plugin import MoleblendClassifier, MoleblendRegressor
from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
from moleblend_plugin.ensembles.weights import weighted_mean
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.inference.ensemble_file import read_ensemble
from moleblend_plugin.inference.estimators import epoch_files, members
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.stack_fit import FORESTS
from moleblend_plugin.trust.domain import nearest, packed_ecfp4
from tests.checkpoints import property_checkpoint
from tests.small_fits import forests_of

NAN = float("nan")
SMILES = ["C" * n + end for n in range(1, 9) for end in ("O", "N")]
HEAVY = np.array([len(smiles) for smiles in SMILES], float)
HAS_N = np.array([smiles.endswith("N") for smiles in SMILES], float)
QUICK: dict[str, Any] = {
    "checkpoint": None,
    "input_mode": "2d",
    "epochs": 2,
    "batch_size": 8,
    "device": "cpu",
}
TWO = QUICK | {"ensemble_size": 2, "learning_rate": 3e-3}


small_forests = forests_of(3)


@pytest.fixture(scope="module")
def folds() -> MoleblendRegressor:
    """The first four molecules weigh nothing."""
    weight = np.where(np.arange(16) < 4, 0.0, 1.0)
    return MoleblendRegressor(**TWO).fit(SMILES, HEAVY, weight)


@pytest.fixture(scope="module")
def stack() -> MoleblendClassifier:
    """Two targets; one label in three of the second is missing."""
    y = np.stack([HAS_N, HEAVY > 5], 1).astype(float)
    y[::3, 1] = NAN
    return MoleblendClassifier(**TWO, stacking=True).fit(SMILES, y)


def members_of(model: Any, folder: Path) -> list[Predictor]:
    """The networks of a fitted estimator, by the file that it saves."""
    model.save(folder / "model.pt")
    return [Predictor.from_bytes(member, "cpu") for member in read_ensemble(folder / "model.pt").members]


def by_network(predictor: Predictor, smiles: list[str]) -> Any:
    config = ConversionConfig(None, source_coords=False)
    return np.array(list(predictor.predict_records(convert_molecule(one, 0, config) for one in smiles)))  # type: ignore[misc]


def test_every_molecule_is_predicted_by_the_member_that_did_not_see_it(
    folds: MoleblendRegressor, tmp_path: Path
) -> None:
    assert np.bincount(folds.oof_fold_[4:]).tolist() == [6, 6]
    assert (folds.oof_fold_[:4] == -1).all()
    assert np.isnan(folds.oof_prediction_).tolist() == [True] * 4 + [False] * 12
    each = [by_network(member, SMILES)[:, 0] for member in members_of(folds, tmp_path)]
    for number, (fold, found) in enumerate(zip(folds.oof_fold_, folds.oof_prediction_, strict=True)):
        assert number < 4 or found == pytest.approx(each[fold][number], rel=1e-5)
    np.testing.assert_allclose(folds.predict(SMILES), np.mean(each, 0), rtol=1e-5)
    assert np.abs(each[0] - each[1]).max() > 1e-3


def test_all_members_are_of_the_epoch_that_is_best_on_the_mean(
    folds: MoleblendRegressor, tmp_path: Path
) -> None:
    curve = folds.validation_curve_
    assert sorted(curve) == [1, 2]
    assert folds.n_epochs_ == min(curve, key=lambda epoch: curve[epoch])
    folds.save(tmp_path / "model.pt")
    for number, member in enumerate(read_ensemble(tmp_path / "model.pt").members):
        (tmp_path / f"{number}.pt").write_bytes(member)
        state = torch.load(tmp_path / f"{number}.pt", weights_only=False)
        assert state["optimizer_history"][-1]["num_updates"] == folds.n_epochs_, "one update per epoch"
        assert state["args"].data == ""


def test_an_epoch_that_no_member_kept_is_trained_again(
    folds: MoleblendRegressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same model, whatever was removed on the way."""
    runs: list[str] = []
    plain: Any = members.train_in_process

    def noting(words: list[str], *rest: Any) -> None:
        runs.append(words[words.index("--seed") + 1])
        plain(words, *rest)

    monkeypatch.setattr(members, "train_in_process", noting)
    monkeypatch.setattr(epoch_files, "contenders", lambda *given: set())
    again = clone(folds).fit(SMILES, HEAVY, np.where(np.arange(16) < 4, 0.0, 1.0))
    assert len(runs) == 4
    assert runs[:2] == runs[2:]
    assert again.validation_curve_ == folds.validation_curve_
    np.testing.assert_array_equal(again.predict(SMILES), folds.predict(SMILES))


def test_equal_seeds_give_equal_ensembles_and_a_single_fit_forgets_them(folds: MoleblendRegressor) -> None:
    weight = np.where(np.arange(16) < 4, 0.0, 1.0)
    again = clone(folds).fit(SMILES, HEAVY, weight)
    np.testing.assert_array_equal(again.predict(SMILES), folds.predict(SMILES))
    again.set_params(ensemble_size=1, epochs=1).fit(SMILES, HEAVY)
    assert not hasattr(again, "oof_prediction_")
    assert not hasattr(again, "n_epochs_")


def test_it_comes_back_from_its_file(folds: MoleblendRegressor, tmp_path: Path) -> None:
    folds.save(tmp_path / "model.pt")
    loaded = MoleblendRegressor.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(loaded.predict(SMILES), folds.predict(SMILES))
    assert loaded.get_params() == folds.get_params()
    loaded.save(tmp_path / "again.pt")
    again = MoleblendRegressor.load(tmp_path / "again.pt", on_error="nan").predict(["CCO", "bad("])
    assert np.isnan(again).tolist() == [False, True]
    with pytest.raises(MoleblendError, match="a model of regression: load it with MoleblendRegressor.load"):
        MoleblendClassifier.load(tmp_path / "model.pt")


def test_seeds_share_what_is_held_out(tmp_path: Path) -> None:
    model = MoleblendRegressor(**TWO, ensemble="seeds", validation_fraction=0.25).fit(SMILES, HEAVY)
    first, second = members_of(model, tmp_path)
    assert (second.args.seed - first.args.seed, len(model.validation_curve_)) == (1, 2)
    assert (model.oof_fold_ == -1).all()
    assert np.isnan(model.oof_prediction_).all()
    each = [by_network(member, SMILES[:3])[:, 0] for member in (first, second)]
    np.testing.assert_allclose(model.predict(SMILES[:3]), np.mean(each, 0), rtol=1e-5)
    without = MoleblendRegressor(**TWO | {"epochs": 1}, ensemble="seeds", validation_fraction=0).fit(
        SMILES, HEAVY
    )
    assert not hasattr(without, "n_epochs_")
    assert np.isfinite(without.predict(SMILES)).all()


def test_a_stack_of_several_targets_with_missing_labels(stack: MoleblendClassifier, tmp_path: Path) -> None:
    weights = stack.stack_weights_
    assert list(weights) == ["network", *FORESTS]
    np.testing.assert_allclose(np.sum(list(weights.values()), 0), [1, 1])
    assert stack.oof_prediction_.shape == stack.predict_proba(SMILES).shape == (16, 2)
    assert np.isfinite(stack.oof_prediction_).all()
    networks = members_of(stack, tmp_path)
    loaded = Predictor.from_checkpoint(tmp_path / "model.pt", "cpu")
    network = np.mean([by_network(member, SMILES) for member in networks], 0)
    fitted = loaded.stack  # type: ignore[attr-defined]
    blocks = fitted.blocks(SMILES)
    each = [fitted.forests[FORESTS[0]].predict(blocks["descriptors"])]
    each += [fitted.forests[FORESTS[1]].predict(blocks["ecfp4-counts"])]
    both = np.concatenate([blocks["descriptors"], blocks["ecfp4-counts"]], 1, dtype=np.float32)
    each += [fitted.forests[FORESTS[2]].predict(both)]
    expected = weighted_mean([network, *each], np.array(list(weights.values())))
    np.testing.assert_allclose(stack.predict_proba(SMILES), expected, rtol=1e-5)
    again = MoleblendClassifier.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(again.predict_proba(SMILES), stack.predict_proba(SMILES))
    assert stack.score(SMILES, np.stack([HAS_N, HEAVY > 5], 1)) > 0.6


def test_strings_and_scaffolds_with_weights(tmp_path: Path) -> None:
    rings = ["c1ccccc1", "C1CCCCC1", "c1ccncc1", "c1ccsc1"]
    smiles = ["C" * n + ring for ring in rings for n in range(1, 5)]
    y = np.array(["odd", "even"] * 8)
    model = MoleblendClassifier(**TWO | {"epochs": 1}, folds="scaffold", stacking=True)
    model.fit(smiles, y, np.linspace(0.5, 2, 16))
    for start in range(0, 16, 4):
        assert len(set(model.oof_fold_[start : start + 4].tolist())) == 1
    assert model.classes_.tolist() == ["even", "odd"]
    model.save(tmp_path / "model.pt")
    again = MoleblendClassifier.load(tmp_path / "model.pt")
    assert again.predict(smiles).tolist() == model.predict(smiles).tolist()
    assert set(again.predict(smiles)) <= {"odd", "even"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ensemble_size": 0}, "ensemble_size=0: give 1 or more"),
        ({"ensemble": "bags"}, "ensemble='bags' is unknown; choose from folds, seeds"),
        ({"folds": "time"}, "folds='time' is unknown; choose from random, scaffold"),
        ({"stacking": True}, "stacking=True needs predictions by networks that did not see the molecule"),
        ({"stacking": True, "ensemble_size": 3, "ensemble": "seeds"}, "stacking=True needs predictions"),
        ({"ensemble_size": 17}, "n_samples=16 cannot be shared out among 17 folds"),
    ],
)
def test_an_impossible_ensemble_is_one_line(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MoleblendRegressor(**QUICK | options).fit(SMILES, HEAVY)


def test_heads_that_read_descriptors_go_through_the_folds(tmp_path: Path) -> None:
    """Members scale descriptors by their own training part, and compute them for new molecules."""
    settings = TWO | {"epochs": 1, "molecule_featurizers": "descriptors"}
    model = MoleblendRegressor(**settings).fit(SMILES, HEAVY)
    model.save(tmp_path / "model.pt")
    loaded = Predictor.from_checkpoint(tmp_path / "model.pt", "cpu")
    assert loaded.featurizers == ("descriptors",)
    np.testing.assert_allclose(by_network(loaded, SMILES[:3])[:, 0], model.predict(SMILES[:3]), rtol=1e-5)


def weights_of(model: MoleblendRegressor, path: Path) -> dict[str, torch.Tensor]:
    model.save(path)
    state: dict[str, torch.Tensor] = read_checkpoint(path)["model"]
    return state


def test_readout_and_frozen_epochs_reach_the_network(tmp_path: Path) -> None:
    """While the encoder is frozen, the learning rate changes the head alone."""
    frozen = QUICK | {"epochs": 1, "freeze_epochs": 1, "readout": "attention", "validation_fraction": 0}
    one, other = (
        weights_of(
            MoleblendRegressor(**frozen, learning_rate=rate).fit(SMILES, HEAVY), tmp_path / f"{rate}.pt"
        )
        for rate in (1e-4, 1e-2)
    )
    pairs = {name: torch.equal(weight, other[name]) for name, weight in one.items()}
    assert "head.weigh.weight" in pairs
    assert all(same for name, same in pairs.items() if not name.startswith("head."))
    assert not all(pairs.values())
    for options, words in (
        ({"readout": "max"}, "readout='max'"),
        ({"freeze_epochs": -1}, "freeze_epochs=-1"),
    ):
        with pytest.raises(MoleblendError, match=words):
            MoleblendRegressor(**QUICK | options).fit(SMILES, HEAVY)


# ---------------------------------------------------------------------------------------------------- trust


def test_folds_calibrate_themselves(folds: MoleblendRegressor, tmp_path: Path) -> None:
    """Of the molecules that count, by the member that did not see each; rows are those that were given."""
    held = folds.trust_.held_out
    assert held.source == "folds"
    assert held.rows.tolist() == folds.trust_.domain.rows.tolist() == list(range(4, 16))
    np.testing.assert_array_equal(held.predictions[:, 0], folds.oof_prediction_[4:])
    np.testing.assert_array_equal(held.targets[:, 0], HEAVY[4:])
    packed, fold = packed_ecfp4(SMILES[4:]), folds.oof_fold_[4:]
    np.testing.assert_array_equal(held.similarity, nearest(packed, packed, fold, fold).similarity)

    found = folds.predict_interval(SMILES, 0.8)
    near = folds.nearest_training(SMILES)
    expected = folds.trust_.intervals(folds.predict(SMILES)[:, None], near.similarity, 0.8)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (near.similarity[4:] == 1).all()
    assert near.row[4:10].tolist() == list(range(4, 10)), "longer chains have the bits of shorter ones"
    assert near.row.min() == 4, "what weighs nothing is no training molecule"
    assert [SMILES[row] for row in near.row] == near.smiles
    each = np.array([by_network(member, SMILES)[:, 0] for member in members_of(folds, tmp_path)])
    np.testing.assert_allclose(folds.predict_std(SMILES), each.std(0, ddof=1), rtol=1e-4)

    loaded = MoleblendRegressor.load(tmp_path / "model.pt", on_error="nan")
    np.testing.assert_array_equal(loaded.predict_interval(SMILES, 0.8), found)
    assert np.isnan(loaded.predict_interval(["CCO", "bad("])).tolist() == [[False] * 2, [True] * 2]
    bad = loaded.nearest_training(["bad("])
    assert (bad.row.tolist(), bad.smiles, bad.outside_domain.tolist()) == ([-1], [""], [False])
    with pytest.raises(MoleblendError, match="level 0.95 needs 19 molecules .* and there are 12"):
        folds.predict_interval(SMILES, 0.95)


def test_a_stack_is_calibrated_by_weights_that_did_not_see_the_fold(stack: MoleblendClassifier) -> None:
    held = stack.trust_.held_out
    known = ~np.isnan(held.targets)
    assert known[:, 1].sum() == 10
    assert (np.isnan(held.predictions) == ~known).all()
    assert np.abs(held.predictions - stack.oof_prediction_)[known].max() > 0
    assert np.abs(held.predictions - stack.oof_prediction_)[known].mean() < 0.2
    sets = stack.predict_set(SMILES, 0.5)
    assert sets.shape == (16, 2, 2)
    assert sets.any(-1).all()
    np.testing.assert_array_equal(
        stack.predict_calibrated_proba(SMILES), stack.trust_.calibrated(stack.predict_proba(SMILES))
    )


def test_one_network_is_calibrated_by_what_chose_its_epoch(tmp_path: Path) -> None:
    labels = np.where(HAS_N > 0, "amine", "alcohol")
    model = MoleblendClassifier(**QUICK, validation_fraction=0.25).fit(SMILES, labels)
    held, domain = model.trust_.held_out, model.trust_.domain
    assert (held.source, len(held.rows)) == ("validation", 4)
    assert sorted([*held.rows.tolist(), *domain.rows.tolist()]) == list(range(16))
    given = [SMILES[row] for row in held.rows.tolist()]
    np.testing.assert_allclose(held.predictions[:, 0], model.predict_proba(given)[:, 1], rtol=1e-5)
    assert held.targets[:, 0].tolist() == [HAS_N[row] for row in held.rows.tolist()]
    assert model.trust_.classes == ("alcohol", "amine")
    assert model.predict_set(SMILES).all(), "two molecules of a class exclude nothing"
    np.testing.assert_allclose(model.predict_calibrated_proba(SMILES), model.predict_proba(SMILES))
    with pytest.raises(MoleblendError, match="predict_std: the model is one network"):
        model.predict_std(SMILES)
    model.save(tmp_path / "one.pt")
    again = MoleblendClassifier.load(tmp_path / "one.pt")
    assert again.trust_.summary() == model.trust_.summary()
    again.save(tmp_path / "again.pt")
    assert MoleblendClassifier.load(tmp_path / "again.pt").trust_.classes == ("alcohol", "amine")


def test_without_held_out_molecules_it_says_so(tmp_path: Path) -> None:
    model = MoleblendRegressor(**QUICK | {"epochs": 1}, validation_fraction=0).fit(SMILES, HEAVY)
    assert model.nearest_training(["CCO"]).similarity.tolist() == [1.0]
    with pytest.raises(MoleblendError, match="fit it with ensemble_size=5 and ensemble='folds', or with a"):
        model.predict_interval(SMILES)
    model.checkpoint_ = property_checkpoint(tmp_path / "old.pt").read_bytes()
    del model._predictor
    with pytest.raises(MoleblendError, match="does not say how far to trust it"):
        model.predict_interval(SMILES)
    assert model.predict(SMILES).shape == (16,)
