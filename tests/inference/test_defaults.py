"""One set of defaults: the estimators' "auto" is what a fit chooses."""

from __future__ import annotations

from typing import Any

import pytest

from moleblend_plugin.estimator import MoleblendClassifier, MoleblendMixed, MoleblendRegressor
from moleblend_plugin.fitting.defaults import with_defaults
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.inference.estimators.defaults import AUTO, BY_SIZE, settled

OPEN = {name: AUTO for name in ("ensemble_size", "epochs", "batch_size", "stacking")}


@pytest.mark.parametrize("molecules", [8, 300, 2_500, 12_001, 10**6])
@pytest.mark.parametrize("kind", [MoleblendRegressor, MoleblendClassifier, MoleblendMixed])
def test_auto_is_what_a_fit_chooses(kind: Any, molecules: int) -> None:
    found = settled(kind(**OPEN).get_params(), kind._kind, molecules)
    chosen = with_defaults(FitOptions(task=kind._kind), molecules)
    assert found["stacking"] == (chosen.stacking == "yes")
    assert all(found[name] == getattr(chosen, name) for name in found if name != "stacking")


def test_what_is_said_stands_and_forests_need_folds() -> None:
    said = {
        "ensemble_size": 3, "epochs": 2, "batch_size": 8, "stacking": False, "readout": "sum",
        "molecule_featurizers": "ecfp",
    }  # fmt: skip
    assert settled(MoleblendRegressor(**said).get_params(), "regression", 900) == said
    for alone in ({"ensemble_size": 1}, {"ensemble": "seeds"}):
        assert (
            settled(MoleblendRegressor(**OPEN | alone).get_params(), "regression", 900)["stacking"] is False
        )
    assert [row.molecules for row in BY_SIZE] == sorted(row.molecules for row in BY_SIZE)
