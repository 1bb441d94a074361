"""What a search asks of one trial: scores of every fold, and a sign of life on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from moleblend_plugin.fitting.options import FitOptions

ALONE, STACKED = "no", "yes"
"""How the option ``stacking`` calls networks alone, and networks with forests."""


class Outcome(NamedTuple):
    """What a trial says.

    Attributes:
        folds: by value of ``stacking``, the score of every fold; NaN where it is undefined.
        epoch: that the folds chose.
        once: seconds of what is not done again for another trial.
    """

    folds: dict[str, tuple[float, ...]]
    epoch: int
    once: float = 0.0

    def mean(self, stacking: str) -> float:
        """Mean over the folds on which the score is defined; NaN if there are none."""
        return mean_of(self.folds.get(stacking, ()))

    def best(self, rises: bool) -> str:
        """The better value of ``stacking``."""
        return (max if rises else min)(self.folds, key=self.mean)


def mean_of(folds: tuple[float, ...]) -> float:
    """Mean over the folds on which a score is defined; NaN if there are none."""
    known = [value for value in folds if value == value]
    return float(np.mean(known)) if known else float("nan")


class Watch(Protocol):
    """What follows a trial, and ends it by an exception."""

    def progress(self, share: float) -> None:
        """``share`` of the trial's training is done, 0 to 1."""

    def folds(self, done: int, of: int, loss: float) -> None:
        """The first ``done`` of the folds are finished, with ``loss`` at their best epoch."""


Objective = Callable[[FitOptions, Watch], Outcome]
"""A trial: the settings of a fit in, scores of its folds out."""
