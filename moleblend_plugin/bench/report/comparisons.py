"""Paired differences between models of a comparison, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from moleblend_plugin.bench.report.resampling import RESAMPLES, resampled
from moleblend_plugin.bench.report.summary import CellGroup, CellGroups, Plan, mean_sd
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics.bootstrap import Difference, difference_of, holm
from moleblend_plugin.metrics.scores import METRICS

FINE_RESAMPLES: Final = 5000
_CANDIDATE: Final = 0.05


class Comparison(NamedTuple):
    """One of our models against another on one set.

    Attributes:
        set: its name.
        ours: the model whose score comes first.
        other: the one that is subtracted.
        difference: mean over seeds of the score of ours less that of the other.
        low: lower end of the 95 % interval over resampled test molecules.
        high: upper end.
        p: two-sided.
        p_all: the same corrected for all comparisons that are made together (Holm).
        verdict: better, worse, or no clear difference, which is what an interval with 0 in it says.
    """

    set: str
    ours: str
    other: str
    difference: float
    low: float
    high: float
    p: float
    p_all: float
    verdict: str


def compare(ours: CellGroup, other: CellGroup, metric: str) -> Comparison | None:
    """Paired bootstrap over test molecules of the mean over the seeds that both have; ``None`` without any.

    Each resample draws the same molecules for both models and all seeds.

    Raises:
        MoleblendError: the two were not scored on the same molecules.
    """
    seeds = sorted(ours.results.keys() & other.results.keys())
    if not seeds:
        return None
    ids = [group.arrays(seed)["test_ids"].tolist() for group in (ours, other) for seed in seeds]
    if any(one != ids[0] for one in ids):
        raise MoleblendError(
            f"{ours.set}: {ours.model} and {other.model} have other test rows; run both again"
        )
    found = _paired(ours, other, seeds, metric, RESAMPLES)
    if found.p <= _CANDIDATE:  # a correction for many comparisons needs smaller p than few resamples give
        found = _paired(ours, other, seeds, metric, FINE_RESAMPLES)
    better = found.low > 0 if METRICS[metric].rises else found.high < 0
    worse = found.high < 0 if METRICS[metric].rises else found.low > 0
    verdict = "better" if better else "worse" if worse else "no clear difference"
    return Comparison(ours.set, ours.model, other.model, *found[:4], found.p, verdict)


def _paired(ours: CellGroup, other: CellGroup, seeds: Sequence[int], metric: str, n: int) -> Difference:
    first, second = (resampled(group, seeds, metric, n) for group in (ours, other))
    return difference_of(first.score - second.score, first.scores - second.scores)


def comparisons(plan: Plan, groups: CellGroups) -> list[Comparison]:
    """Each of our models against every other model, and against our models that stand after it."""
    found = []
    names = list(plan.models)
    for name, metric in plan.sets.items():
        for model in plan.ours:
            for other in names:
                if other in plan.baselines or names.index(other) > names.index(model):
                    found.append(compare(groups[name, model], groups[name, other], metric))
    return corrected([one for one in found if one is not None])


def corrected(compared: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons with ``p_all`` for being read together, and no others."""
    values = holm([one.p for one in compared])
    return [one._replace(p_all=p) for one, p in zip(compared, values, strict=True)]


def of_best_ours(plan: Plan, groups: CellGroups, compared: Sequence[Comparison]) -> list[Comparison]:
    """On each set our model with the best validation score against every baseline, corrected for these alone.

    Args:
        plan: what is compared.
        groups: its cells.
        compared: what :func:`comparisons` gave.
    """
    found = []
    for name in plan.sets:
        best = best_model(plan, groups, name, plan.ours, part="valid")
        found += [
            one for one in compared if (one.set, one.ours) == (name, best) and one.other in plan.baselines
        ]
    return corrected(found)


def best_model(
    plan: Plan, groups: CellGroups, name: str, models: Sequence[str] | None = None, part: str = "test"
) -> str:
    """The model with the best mean score on a set, "" where none finished.

    Args:
        plan: what is compared.
        groups: its cells.
        name: the set.
        models: among which; ``None`` for all.
        part: "test" or "valid".
    """
    metric = plan.sets[name]
    asked = plan.models if models is None else models
    means = {model: mean_sd(groups[name, model].scores(part, metric))[0] for model in asked}
    means = {model: mean for model, mean in means.items() if not np.isnan(mean)}
    pick = max if METRICS[metric].rises else min
    return pick(means, key=lambda model: means[model]) if means else ""
