"""Signs that embeddings collapse to a point, to a few directions, or to a few anchors.

Limits: docs/structure_aware.md, "Collapse". A molecules, V views, d width, K anchors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

LEAST_SPREAD: Final = 0.05
LEAST_RANK_SHARE: Final = 1 / 16
LEAST_ANCHOR_SHARE: Final = 1 / 4


def spread(codes: Tensor) -> float:
    """Mean over dimensions of the standard deviation over molecules, codes [A, d]; NaN for fewer than 2."""
    return float(codes.std(0).mean()) if len(codes) > 1 else float("nan")


def effective_rank(embedding: Tensor) -> float:
    """exp of the entropy of normalised singular values of centred rows [A, d] (Roy and Vetterli, 2007)."""
    if len(embedding) < 2:
        return float("nan")
    values = torch.linalg.svdvals((embedding - embedding.mean(0)).cpu().double())  # not on mps
    shares = values / values.sum().clamp(min=1e-12)
    return float(torch.exp(-(shares * shares.clamp(min=1e-12).log()).sum()))


def anchor_perplexity(weights: Tensor) -> float:
    """exp of the entropy of the mean use of anchors, of weights [A, K]: 1 to K."""
    if not len(weights):
        return float("nan")
    mean = weights.cpu().double().mean(0)
    return float(torch.exp(-(mean * mean.clamp(min=1e-12).log()).sum()))


def alarms(found: Mapping[str, float], rows: int, width: int, anchors: int) -> list[str]:
    """What has collapsed, one text each; none for values that are not numbers.

    Args:
        found: ``spread_<view>``, ``effective_rank`` and ``anchor_perplexity``.
        rows: A: the rank of so many rows is less than A.
        width: d of the unified embedding.
        anchors: K.
    """
    limits = {
        "effective_rank": min(width, rows - 1) * LEAST_RANK_SHARE,
        "anchor_perplexity": anchors * LEAST_ANCHOR_SHARE,
    }
    problems = []
    for name, value in found.items():
        limit = limits.get(name, LEAST_SPREAD)
        if value <= limit:
            problems.append(f"{name} {value:.3g} is not above {limit:.3g}")
    return problems
