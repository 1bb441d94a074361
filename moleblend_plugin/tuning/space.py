"""What is searched: settings of training, around those that a fit takes by itself."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Final

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.options import FEATURIZERS, FitOptions

Space = dict[str, BaseDistribution]
"""By name of an option of a fit, the values that are tried."""

RATES: Final = (1e-4, 2e-3)
_FROZEN: Final = 5
"""Most epochs in which the head alone is trained."""

_FEWEST_OF_BATCH: Final = 4


def search_space(asked: FitOptions, default: FitOptions) -> Space:
    """What is searched; an option that the user set to something else than its default stays as it is.

    Args:
        asked: the options, as the user gave them.
        default: the same, with nothing left open: what a fit would take.

    Raises:
        MoleblendError: everything is given, so that there is nothing to search.
    """
    plain = FitOptions()
    given = {
        item.name for item in fields(FitOptions) if getattr(asked, item.name) != getattr(plain, item.name)
    }
    epochs, batch = _epochs(default.epochs), default.batch_size
    fewest = default.epochs if "epochs" in given else epochs.low
    space: Space = {
        "learning_rate": FloatDistribution(*RATES, log=True),
        "dropout": FloatDistribution(0.0, 0.5, step=0.05),
        "readout": CategoricalDistribution(("cls", "mean", "attention")),
        "epochs": epochs,
        "molecule_featurizers": CategoricalDistribution(FEATURIZERS),
        "batch_size": CategoricalDistribution(sorted({max(_FEWEST_OF_BATCH, batch // 2), batch, 2 * batch})),
    }
    if default.checkpoint != "none" and fewest > 1:
        space["freeze_epochs"] = IntDistribution(0, min(_FROZEN, fewest - 1))
    found = {name: values for name, values in space.items() if name not in given}
    if not found:
        raise MoleblendError("every setting that could be searched is given: leave some of them out")
    return found


def _epochs(default: int) -> IntDistribution:
    """From half of the default to twice of it, in quarters."""
    step = max(1, default // 4)
    return IntDistribution(max(1, default - 2 * step), min(default + 4 * step, 2 * default), step=step)


def default_params(space: Space, default: FitOptions) -> dict[str, Any]:
    """The values of a fit without a search."""
    return {name: getattr(default, name) for name in space}


def with_params(default: FitOptions, params: dict[str, Any]) -> FitOptions:
    """``default`` with the values of a trial; numbers to six digits, as people read them in a file."""
    rounded: dict[str, Any] = {
        name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in params.items()
    }
    return replace(default, **rounded)
