"""One epoch for all members: the best of the mean validation curve.

A fold of 60 molecules is a poor judge of its own member: the minimum of a noisy curve is where the
noise is low, and the score there is too good. The mean over all folds is the curve of every molecule
together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from moleblend_plugin.errors import MoleblendError

Curve = Mapping[int, float]
"""By epoch, a metric of the validation part."""


def mean_curve(curves: Sequence[Curve], labels: Sequence[float]) -> dict[int, float]:
    """Mean of the members' validation curves, each by the labels that it was measured on.

    Args:
        curves: of every member.
        labels: number of labels behind each of them.

    Returns:
        By epoch, the mean; an epoch that a member lacks, or at which one is not finite, is left out.
    """
    shared = set.intersection(*(set(curve) for curve in curves))
    total = sum(labels)
    means = {
        epoch: sum(curve[epoch] * count for curve, count in zip(curves, labels, strict=True)) / total
        for epoch in sorted(shared)
    }
    return {epoch: mean for epoch, mean in means.items() if math.isfinite(mean)}


def contenders(curves: Sequence[Curve], labels: Sequence[float], count: int, rises: bool = False) -> set[int]:
    """Epochs that may still be best on the mean of all members, as far as some of them are trained.

    Args:
        curves: of the members that have begun, as far as they are.
        labels: number of labels behind each of them.
        count: how many stay of the epochs that every one of these members has been validated at.
        rises: whether more of the metric is better.
    """
    every = [set(curve) for curve in curves]
    means = mean_curve(curves, labels)
    worst = math.inf

    def rank(epoch: int) -> tuple[float, int]:
        mean = means.get(epoch, worst)
        return (-mean if rises and mean != worst else mean), epoch

    judged = sorted(set.intersection(*every), key=rank)
    return set.union(*every) - set(judged[count:])


def best_epoch(curve: Curve, rises: bool = False) -> int:
    """The first epoch at which a curve is best.

    Raises:
        MoleblendError: the curve has no point.
    """
    if not curve:
        raise MoleblendError(
            "no epoch has a finite validation metric in every member: lower the learning rate, "
            "or look at the labels"
        )
    return min(sorted(curve), key=lambda epoch: -curve[epoch] if rises else curve[epoch])
