"""Estimators start from the default network unless something else is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from moleblend_plugin import MoleblendEmbedder, MoleblendRegressor
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.estimators.start import FitStart, choose_start
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.networks.registry import DEFAULT_NETWORK, FOLDER, bundled_networks

SMILES = ["C" * n + end for n in range(1, 7) for end in ("O", "N")]
HEAVY = np.array([len(smiles) for smiles in SMILES], float)
QUICK: dict[str, Any] = {"input_mode": "2d", "epochs": 1, "device": "cpu", "validation_fraction": 0}
BUNDLED = str(FOLDER / f"{DEFAULT_NETWORK}.pt")
OWN = bundled_networks()[DEFAULT_NETWORK].arch.removeprefix("moleblend_")
OTHER = next(size for name in PRESETS if (size := name.removeprefix("moleblend_")) != OWN)


@pytest.fixture(scope="module")
def fitted() -> MoleblendRegressor:
    return MoleblendRegressor(**QUICK).fit(SMILES, HEAVY)


def test_the_default_is_the_bundled_network(fitted: MoleblendRegressor, tmp_path: Path) -> None:
    assert fitted.get_params()["checkpoint"] == "default"
    assert fitted.started_from_ == DEFAULT_NETWORK
    named = clone(fitted).set_params(checkpoint=DEFAULT_NETWORK, arch=OWN).fit(SMILES, HEAVY)
    np.testing.assert_array_equal(named.predict(SMILES), fitted.predict(SMILES))
    fitted.save(tmp_path / "m.pt")
    loaded = MoleblendRegressor.load(tmp_path / "m.pt")
    assert (loaded.started_from_, loaded.checkpoint) == (DEFAULT_NETWORK, "default")


def test_none_is_from_scratch(fitted: MoleblendRegressor) -> None:
    scratch = clone(fitted).set_params(checkpoint=None).fit(SMILES, HEAVY)
    assert scratch.started_from_ is None
    assert np.abs(scratch.predict(SMILES) - fitted.predict(SMILES)).max() > 1e-3


def test_what_was_not_fitted_has_no_start() -> None:
    assert not hasattr(MoleblendRegressor(), "started_from_")


def test_checkpoint_and_size_together() -> None:
    assert choose_start("default", None) == choose_start(DEFAULT_NETWORK, OWN) == FitStart(BUNDLED, OWN)
    assert choose_start(None, None) == FitStart(None, "tiny")
    assert choose_start(None, OTHER) == FitStart(None, OTHER)
    assert choose_start("mine.pt", OTHER) == FitStart("mine.pt", OTHER)
    with pytest.warns(
        UserWarning, match=f"arch='{OTHER}' is not the size of .*: training starts from scratch"
    ):
        assert choose_start("default", OTHER) == FitStart(None, OTHER)
    with pytest.raises(MoleblendError, match=f"arch='{OTHER}' is not the size of .*: leave arch out, or set"):
        choose_start(DEFAULT_NETWORK, OTHER)
    with pytest.raises(MoleblendError, match="arch='huge' is unknown"):
        choose_start("default", "huge")


def test_a_name_that_is_none_is_one_line() -> None:
    with pytest.raises(MoleblendError, match=f"did you mean {DEFAULT_NETWORK}"):
        MoleblendRegressor(**QUICK, checkpoint=DEFAULT_NETWORK[:-1]).fit(SMILES, HEAVY)
    with pytest.raises(MoleblendError, match="predicts no property"):
        MoleblendRegressor.load(DEFAULT_NETWORK)


def test_a_warning_names_the_line_that_fits() -> None:
    with pytest.warns(UserWarning, match="training starts from scratch") as caught, pytest.raises(ValueError):  # noqa: PT011
        MoleblendRegressor(**QUICK | {"epochs": 0}, arch=OTHER).fit(SMILES, HEAVY)
    assert caught[0].filename == __file__


def test_the_embedder_needs_no_checkpoint() -> None:
    embedder = MoleblendEmbedder(what="mean", input_mode="2d", device="cpu")
    assert clone(embedder).get_params()["checkpoint"] == "default"
    assert embedder.network_ == DEFAULT_NETWORK
    named = MoleblendEmbedder(DEFAULT_NETWORK, what="mean", input_mode="2d", device="cpu")
    np.testing.assert_array_equal(embedder.transform(SMILES), named.transform(SMILES))
    assert MoleblendEmbedder(BUNDLED).network_ == DEFAULT_NETWORK
