"""How much of the difference between trials each setting explains."""

from __future__ import annotations

from typing import Final

import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.study import Study
from optuna.trial import TrialState

FEWEST: Final = 6
"""Finished trials of which importances are computed: a forest of fewer points says nothing."""


def importances(study: Study) -> dict[str, float]:
    """Share of the variance of the score by setting (fANOVA; Hutter et al., ICML 2014), the largest first.

    Pruned trials have no score and do not count.

    Returns:
        {} where there are too few trials, or all have one score.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < FEWEST or len({trial.value for trial in complete}) < 2:
        return {}
    try:
        found: dict[str, float] = optuna.importance.get_param_importances(
            study, evaluator=FanovaImportanceEvaluator(seed=0)
        )
    except RuntimeError:  # trees without any variance
        return {}
    return found
