"""Terms of MMSA-style (reconstructed) pretraining: pure functions of embeddings and masks, and their sum.

What is known of them and what is reconstructed: docs/structure_aware.md, "The objective". A term without a
single molecule is 0.

A molecules of the batch of all processes, V views, K anchors; d any width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.term_table import Term, TermSpec, masked_mean
from moleblend_plugin.schema import VIEWS, Curve, StructureOutput

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class StructureLossConfig:
    """Weights of the terms (docs/structure_aware.md, "The objective"; the paper's own are unknown).

    Attributes:
        contrast_weight: of InfoNCE between the views of a molecule.
        rebuild_weight: of each view's feature rebuilt from its own code.
        cross_weight: of each view's feature rebuilt from another view's code.
        homogeneity_weight: of the distance between the codes of a molecule.
        refined_weight: of InfoNCE from the hypergraph-refined embedding to the 2d view (half of l_sa).
        read_weight: of InfoNCE from what the memory gives to the 2d view (the other half); 0 with
            --memory-weight 0 is no memory.
        memory_weight: of the distance between refined embedding and memory read.
        balance_weight: of using all anchors alike.
        contrast_temperature: of InfoNCE.
        read_temperature: the same for what the memory gives.

    Raises:
        MoleblendError: a negative weight, none above 0, or a temperature of 0.
    """

    contrast_weight: float = 1.0
    rebuild_weight: float = 0.2
    cross_weight: float = 0.2
    homogeneity_weight: float = 0.6
    refined_weight: float = 0.5
    read_weight: float = 0.5
    memory_weight: float = 0.1
    balance_weight: float = 0.0
    contrast_temperature: float = 0.1
    read_temperature: float = 0.1

    def __post_init__(self) -> None:
        for name, weight in self.weights(1.0).items():
            if not (math.isfinite(weight) and weight >= 0):
                raise MoleblendError(f"--{name}-weight {weight:g}: give a weight of 0 or more")
        if not any(self.weights(1.0).values()):
            raise MoleblendError("all structure weights are 0; give --contrast-weight a value above 0")
        for name in ("contrast_temperature", "read_temperature"):
            if not getattr(self, name) > 0:
                raise MoleblendError(f"--{name.replace('_', '-')} {getattr(self, name):g}: give more than 0")

    def weights(self, share: float) -> dict[str, float]:
        """Weight of every term; ``share`` (0 to 1) is what module B's terms count so far."""
        shares = dict.fromkeys(_MODULE_B, share)
        return {row.name: shares.get(row, 1.0) * getattr(self, row.weight) for row in STRUCTURE_TERMS}


class StructureTerms(NamedTuple):
    """Unweighted terms by name; the contrasts of pairs of views by the key of ``RETRIEVAL``."""

    terms: dict[str, Term]
    retrieval: dict[str, Term]


def info_nce(query: Tensor, key: Tensor, temperature: float) -> Term:
    """Cross entropy of finding row n of ``key`` for row n of ``query`` by cosine; the score counts hits.

    Args:
        query: [A, d].
        key: [A, d].
        temperature: divides the cosines.
    """
    import torch
    from torch.nn import functional as F

    with torch.autocast(query.device.type, enabled=False):
        logits = F.normalize(query.float(), dim=1) @ F.normalize(key.float(), dim=1).T / temperature
        own = torch.arange(len(logits), device=logits.device)
        loss = F.cross_entropy(logits, own, reduction="sum") / max(len(logits), 1)
        hits = (logits.detach().argmax(1) == own).sum() if len(logits) else own.sum()
    return Term(loss, hits, torch.full_like(hits, len(logits)))


def symmetric_nce(left: Tensor, right: Tensor, temperature: float) -> Term:
    """Mean of both directions."""
    there, back = info_nce(left, right, temperature), info_nce(right, left, temperature)
    return Term(0.5 * (there.loss + back.loss), there.score + back.score, there.counted + back.counted)


def _stacked(values: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.stack(tuple(values))


def squared_error(predicted: Tensor, target: Tensor, keep: Tensor) -> Tensor:
    """Mean over views of the mean over molecules ``keep`` bool [A, V], of [A, V, d] against [A, V, d]."""
    error = (predicted - target).square().mean(2)
    return _stacked([masked_mean(error[:, v], keep[:, v]) for v in range(error.shape[1])]).mean()


def homogeneity(codes: Tensor, present: Tensor) -> Tensor:
    """Mean over pairs of views of the squared distance of their codes [A, V, d] (per width)."""
    pairs = list(combinations(range(codes.shape[1]), 2))
    errors = [
        masked_mean((codes[:, i] - codes[:, j]).square().mean(1), present[:, i] & present[:, j])
        for i, j in pairs
    ]
    return _stacked(errors).mean()


def balance(weights: Tensor) -> Tensor:
    """Negative entropy of the mean use of anchors, weights [A, K]; least (-log K) for even use."""
    mean = weights.sum(0) / max(len(weights), 1)
    return (mean * mean.clamp(min=1e-12).log()).sum()


def structure_terms(
    output: StructureOutput, views: Sequence[str], config: StructureLossConfig
) -> StructureTerms:
    """Every term of a batch, unweighted.

    Args:
        output: of the network.
        views: names of the V views.
        config: temperatures.
    """
    target = output.features.detach()  # without it codes collapse to a point
    retrieval = contrasts(output.compared, output.present, views, config.contrast_temperature)
    contrast = _stacked([term.loss for term in retrieval.values()]).mean()
    scores = {
        "contrast": contrast,
        "rebuild": squared_error(output.rebuilt, target, output.present),
        "cross": squared_error(output.crossed, target, output.has_cross),
        "homogeneity": homogeneity(output.codes, output.present),
        "memory": (output.refined - output.read).square().mean(1).sum() / max(len(output.read), 1),
        "balance": balance(output.weights),
    }
    none = output.present.sum() * 0
    terms = {name: Term(loss, none, none) for name, loss in scores.items()}
    terms["refined"] = info_nce(output.refined_compared, output.target, config.contrast_temperature)
    terms["read"] = info_nce(output.read_compared, output.target, config.read_temperature)
    return StructureTerms({row.name: terms[row.name] for row in STRUCTURE_TERMS}, retrieval)


def contrasts(compared: Tensor, present: Tensor, views: Sequence[str], temperature: float) -> dict[str, Term]:
    """InfoNCE of every pair of views, over the molecules that have both.

    Args:
        compared: [A, V, d].
        present: bool [A, V].
        views: names of the V views.
        temperature: divides the cosines.
    """
    found = {}
    for i, j in combinations(range(len(views)), 2):
        both = present[:, i] & present[:, j]
        found[RETRIEVAL[views[i], views[j]].key] = symmetric_nce(
            compared[both, i], compared[both, j], temperature
        )
    return found


def weigh_structure(terms: Mapping[str, Term], config: StructureLossConfig, share: float) -> Tensor:
    """The weighted sum; terms of weight 0 stay in it, so that every weight of the network has a gradient."""
    weights = config.weights(share)
    return _stacked([weights[name] * term.loss for name, term in terms.items()]).sum()


_MODULE_A: Final = (
    TermSpec("contrast", "contrast of views", "cross entropy, nats", "contrast_weight"),
    TermSpec("rebuild", "rebuilt view", "squared error", "rebuild_weight"),
    TermSpec("cross", "view rebuilt from another", "squared error", "cross_weight"),
    TermSpec("homogeneity", "homogeneity of codes", "squared difference", "homogeneity_weight"),
)
_MODULE_B: Final = (
    TermSpec(
        "refined", "refined embedding", "cross entropy, nats", "refined_weight",
        Curve("retrieval_refined", "retrieval, refined", "fraction of molecules", rises=True),
    ),
    TermSpec(
        "read", "memory read", "cross entropy, nats", "read_weight",
        Curve("retrieval_read", "retrieval, memory", "fraction of molecules", rises=True),
    ),
    TermSpec("memory", "memory", "squared difference", "memory_weight"),
    TermSpec("balance", "use of anchors", "negative entropy, nats", "balance_weight"),
)  # fmt: skip
STRUCTURE_TERMS: Final = (*_MODULE_A, *_MODULE_B)
"""The terms in the order in which they are added, logged and drawn."""

STRUCTURE_AWARE: Final = TermSpec("structure", "structure-aware", "weighted sum", "structure_aware_weight")
"""The whole objective, where it is a term beside those of blend-then-predict."""

RETRIEVAL: Final = {
    (a, b): Curve(f"retrieval_{a}_{b}", f"retrieval {a}, {b}", "fraction of molecules", rises=True)
    for a, b in combinations(VIEWS, 2)
}
"""By pair of views, how often the right molecule is the nearest."""
