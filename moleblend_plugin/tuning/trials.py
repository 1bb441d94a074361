"""Trials of a study as plain values, the best of them, and their table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from moleblend_plugin.files import replacing
from moleblend_plugin.tuning.objective import ALONE, STACKED, mean_of

DEFAULT: Final = "default"
REASON: Final = "reason"
AGAIN: Final = "again"
OUTCOME: Final = "outcome"
SECONDS: Final = "seconds"
"""What a trial holds beside its values: whether it is the default, why it ended, which it takes up, scores
of its folds, and how long it took."""


class TriedSettings(NamedTuple):
    """One trial.

    Attributes:
        number: from 0 on.
        state: "complete", "pruned", "failed", "stopped" (its study was), or "waiting".
        params: the settings that are searched.
        is_default: whether they are those of a fit without a search.
        value: mean score over the folds; NaN without.
        folds: score of every fold, at ``stacking``.
        stacking: what was better, "yes" or "no"; "" without a score.
        alone: mean score of the networks alone; NaN without.
        stacked: mean score of networks with forests; NaN without.
        epoch: that the folds chose; 0 without a score.
        seconds: that it took.
        reason: why it has no score.
        all_folds: by value of ``stacking``, the score of every fold.
    """

    number: int
    state: str
    params: dict[str, Any]
    is_default: bool
    value: float
    folds: tuple[float, ...]
    stacking: str
    alone: float
    stacked: float
    epoch: int
    seconds: float
    reason: str
    all_folds: dict[str, tuple[float, ...]]

    @property
    def spread(self) -> float:
        """Standard deviation of the score over the folds (n - 1)."""
        return spread_of(self.folds)

    def at(self, stacking: str) -> tuple[float, ...]:
        """Score of every fold with this value of ``stacking``."""
        return self.all_folds.get(stacking, self.folds)


def spread_of(folds: Sequence[float]) -> float:
    """Standard deviation over the folds on which a score is defined; NaN for fewer than two."""
    known = [value for value in folds if value == value]
    return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


def tried(study: Study) -> list[TriedSettings]:
    """All trials, in their order."""
    return [_tried(trial) for trial in study.get_trials(deepcopy=False)]


def _tried(trial: FrozenTrial) -> TriedSettings:
    attributes = trial.user_attrs
    outcome = attributes.get(OUTCOME, {})
    folds = {name: tuple(values) for name, values in outcome.get("folds", {}).items()}
    stacking = outcome.get("stacking", "")
    done = trial.state == TrialState.COMPLETE
    reason = attributes.get(REASON, "")
    if trial.state == TrialState.FAIL and not reason:
        reason = "its process was killed"
    state = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.RUNNING: "stopped",
        TrialState.WAITING: "waiting",
    }.get(trial.state, "failed" if reason.startswith("failed") else "stopped")
    return TriedSettings(
        trial.number,
        state,
        dict(trial.params or trial.system_attrs.get("fixed_params", {})),
        bool(attributes.get(DEFAULT)),
        float(trial.value) if done and trial.value is not None else float("nan"),
        folds.get(stacking, ()),
        stacking,
        mean_of(folds.get(ALONE, ())),
        mean_of(folds.get(STACKED, ())),
        int(outcome.get("epoch", 0)),
        float(attributes.get(SECONDS, 0.0)),
        reason,
        folds,
    )


def finished(trials: Sequence[TriedSettings]) -> list[TriedSettings]:
    """Those with a score."""
    return [trial for trial in trials if trial.state == "complete"]


def winner(trials: Sequence[TriedSettings], rises: bool) -> TriedSettings:
    """The best one; of equal ones the first, so that the default wins a tie."""
    return min(finished(trials), key=lambda trial: (-trial.value if rises else trial.value, trial.number))


def default_of(trials: Sequence[TriedSettings]) -> TriedSettings:
    """The finished trial of the default setting."""
    return next(trial for trial in finished(trials) if trial.is_default)


def write_trials(path: Path, trials: Sequence[TriedSettings], names: Sequence[str], metric: str) -> None:
    """Write ``trials.csv``: a row per trial.

    Args:
        path: the file.
        trials: in their order.
        names: of the settings that are searched.
        metric: what the score is.
    """
    k = max((len(trial.folds) for trial in trials), default=0)
    header = [
        *("trial", "state", "default", f"{metric}_mean", f"{metric}_sd", "stacking"),
        *(f"{metric}_networks", f"{metric}_stacked", *names, "best_epoch", "seconds"),
        *(f"{metric}_fold_{number + 1}" for number in range(k)),
        "reason",
    ]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        for trial in trials:
            scores = (*trial.folds, *[float("nan")] * (k - len(trial.folds)))
            out.writerow(
                [
                    *(trial.number, trial.state, "yes" if trial.is_default else ""),
                    *(_cell(trial.value), _cell(trial.spread), trial.stacking),
                    *(_cell(trial.alone), _cell(trial.stacked)),
                    *(_cell(trial.params.get(name, "")) for name in names),
                    *(trial.epoch or "", f"{trial.seconds:.1f}"),
                    *map(_cell, scores),
                    trial.reason,
                ]
            )


def _cell(value: Any) -> str:  # noqa: ANN401  a setting
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return str(value)
