"""What is searched: the default is always among it, and what is given is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

optuna = pytest.importorskip("optuna")

from moleblend_plugin.errors import MoleblendError  # noqa: E402
from moleblend_plugin.fitting.defaults import with_defaults  # noqa: E402
from moleblend_plugin.fitting.options import FitOptions  # noqa: E402
from moleblend_plugin.tuning.space import default_params, search_space  # noqa: E402


@pytest.mark.parametrize("molecules", [30, 1_000, 10_000, 40_000, 10**6])
def test_the_default_can_be_proposed(molecules: int) -> None:
    asked = FitOptions(data="t.csv")
    default = with_defaults(asked, molecules)
    space = search_space(asked, default)
    for name, value in default_params(space, default).items():
        assert space[name]._contains(space[name].to_internal_repr(value)), name
    assert space["freeze_epochs"].high < space["epochs"].low  # type: ignore[attr-defined]
    assert space["epochs"].high <= 2 * default.epochs  # type: ignore[attr-defined]


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 6, 7, 9, 11, 50])
def test_epochs_are_on_a_grid_around_the_default(epochs: int) -> None:
    default = with_defaults(FitOptions(data="t.csv"), 30)
    values = search_space(FitOptions(data="t.csv"), replace(default, epochs=epochs))["epochs"]
    assert values._contains(epochs)
    assert (values.high - values.low) % values.step == 0  # type: ignore[attr-defined]


def test_what_is_given_is_kept() -> None:
    asked = FitOptions(data="t.csv", epochs=3, dropout=0.2, checkpoint="none")
    space = search_space(asked, with_defaults(asked, 30))
    assert not {"epochs", "dropout", "freeze_epochs"} & set(space)
    everything = replace(
        asked, learning_rate=1e-3, readout="mean", batch_size=8, molecule_featurizers="ecfp", freeze_epochs=1
    )
    with pytest.raises(MoleblendError, match="leave some of them out"):
        search_space(everything, everything)
