"""Blend-then-predict: the weighted sum of terms, each a pure function of predictions, targets and a mask.

Every term (method 4) returns the scalar that is optimised (fp32) and the counts behind the logged score.
A term without a single target is 0, never NaN. Nothing here waits for the device. The table of the terms is
at the end.

B molecules, N atoms, P path hops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.cross_entropy import cross_entropy_and_hits, cross_entropy_sum
from moleblend_plugin.losses.molecule import descriptor_term, ecfp_term
from moleblend_plugin.losses.term_table import Term, TermSpec, masked_mean
from moleblend_plugin.schema import Curve, InputFields, Predictions, Shown, TargetFields
from moleblend_plugin.vocab import EDGE_CLASSES, SPD_CLASSES, EdgeClasses, SpdClasses

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Pairs = Literal["all", "hidden"]

DESCRIPTOR_WEIGHT: Final = 5.0
"""Of the descriptor term where a store holds descriptors and no weight is given."""

ECFP_WEIGHT: Final = 2.0
"""Of the ECFP term where a store holds fingerprints and no weight is given."""


@dataclass(frozen=True, slots=True)
class PretrainLossConfig:
    """Weights of the terms (published values) and which pairs count.

    Attributes:
        spd_weight: of the path-length term.
        edge_weight: of the bond-path term.
        distance_weight: of the distance term, or of the direction term where the model has that head.
        denoise_weight: of the coordinate-noise term.
        descriptor_weight: of the descriptor term, which needs a store with descriptors (default: {weight}
            there, else 0).
        ecfp_weight: of the ECFP term, which needs a store with fingerprints (default: {ecfp} there, else 0).
        pairs: "all" scores every pair (published); "hidden" only pairs whose relation was not shown.
        log_term_gnorm: log the gradient norm of every term in training; costs one backward pass each.

    Raises:
        MoleblendError: a negative weight, or none above 0.
    """

    spd_weight: float = 0.1
    edge_weight: float = 0.1
    distance_weight: float = 0.5
    denoise_weight: float = 6.0
    descriptor_weight: float | None = None
    ecfp_weight: float | None = None
    pairs: Pairs = "all"
    log_term_gnorm: bool = False

    def __post_init__(self) -> None:
        for row in PRETRAIN_TERMS:
            weight = self.weights[row.name]
            if not (math.isfinite(weight) and weight >= 0):
                flag = row.weight.replace("_", "-")
                raise MoleblendError(f"--{flag} {weight:g}: give a weight of 0 or more")
        if not any(self.weights.values()):
            raise MoleblendError("all loss weights are 0; give one of --spd-weight, ... a value above 0")
        if self.pairs not in ("all", "hidden"):
            raise MoleblendError(f"--pairs {self.pairs}: choose all or hidden")

    @property
    def weights(self) -> dict[str, float]:
        """Weight per term; "distance" and "direction" share a slot, and a model has only one of them."""
        return {row.name: float(getattr(self, row.weight) or 0.0) for row in PRETRAIN_TERMS}


PretrainLossConfig.__doc__ = str(PretrainLossConfig.__doc__).format(
    weight=DESCRIPTOR_WEIGHT, ecfp=ECFP_WEIGHT
)


def target_classes(codes: Tensor, keep: Tensor, classes: SpdClasses | EdgeClasses) -> Tensor:
    """Target classes int64 of batch codes; ``classes.ignored`` where there is none or not ``keep``."""
    return _class_table(classes, codes.device)[codes.int()].where(keep, classes.ignored)


@lru_cache(maxsize=8)
def _class_table(classes: SpdClasses | EdgeClasses, device: torch.device) -> Tensor:
    """The look-up on its device, copied there once."""
    import torch

    return torch.tensor(classes.table(), device=device)


def _classification(logits: Tensor, target: Tensor, ignored: int) -> Term:
    """Cross entropy summed, correct predictions, targets: of logits [..., C] and classes [...]."""
    flat, goal = logits.flatten(0, -2), target.flatten()
    counts = goal != ignored
    # Not torch's cross_entropy: on a GPU its sum is one block of threads that walks over all targets.
    loss, correct = cross_entropy_and_hits(flat, goal.where(counts, 0)[:, None], counts[:, None].float())
    return Term(loss, correct, counts.sum())


def spd_term(logits: Tensor, spd: Tensor, keep: Tensor) -> Term:
    """Cross entropy of the path length, mean over pairs; the score counts correct classes.

    Args:
        logits: [B, N, N, 11].
        spd: uint8 [B, N, N]; diagonal, padding and unreachable pairs have no class.
        keep: bool [B, N, N], pairs that count.
    """
    term = _classification(logits, target_classes(spd, keep, SPD_CLASSES), SPD_CLASSES.ignored)
    return term._replace(loss=term.loss / term.counted.clamp(min=1))


def edge_term(logits: Tensor, bond_path: Tensor, keep: Tensor) -> Term:
    """Cross entropy of the bonds on the path, mean over hops of all pairs; the score counts correct bonds.

    Args:
        logits: [B, N, N, P, 24].
        bond_path: uint8 [B, N, N, P]; missing hops and bonds outside the 24 classes are ignored.
        keep: bool [B, N, N], pairs that count.
    """
    target = target_classes(bond_path, keep[..., None], EDGE_CLASSES)
    term = _classification(logits, target, EDGE_CLASSES.ignored)
    return term._replace(loss=term.loss / term.counted.clamp(min=1))


def distance_term(logits: Tensor, coords: Tensor, keep: Tensor, largest: float) -> Term:
    """Cross entropy of binned distances, mean over pairs; the score sums absolute errors in Angstrom.

    A distance shares its target between the two nearest bin centres (linear interpolation), so that
    neighbouring bins are nearly right and the expected distance is unbiased (method 4a). Distances beyond
    the last centre count as the last centre.

    Args:
        logits: [B, N, N, bins]; bin centres are spread evenly over 0..``largest``.
        coords: clean coordinates fp32 [B, N, 3] in Angstrom.
        keep: bool [B, N, N], pairs that count; the diagonal never does.
        largest: centre of the last bin in Angstrom.
    """
    import torch

    bins = logits.shape[-1]
    distance = (coords[:, None] - coords[:, :, None]).norm(dim=-1)
    keep = keep & ~keep.new_ones(keep.shape[-1]).diag()
    position = (distance / largest * (bins - 1)).clamp(0, bins - 1)
    lower = position.floor().clamp(max=bins - 2)
    share = position - lower  # of the upper bin
    index = lower.long().flatten()
    weights = torch.stack((1 - share, share), -1).where(keep[..., None], 0.0).flatten(0, -2)
    total = cross_entropy_sum(logits.flatten(0, -2), torch.stack((index, index + 1), -1), weights)
    loss = total / keep.sum().clamp(min=1)
    error = (expected_distance(logits.detach(), largest) - distance).abs()
    return Term(loss, error.where(keep, 0.0).sum(), keep.sum())


def expected_distance(logits: Tensor, largest: float) -> Tensor:
    """Mean distance [B, N, N] in Angstrom under the predicted bins [B, N, N, bins]."""
    import torch

    centres = torch.linspace(0, largest, logits.shape[-1], device=logits.device)
    return logits.float().softmax(-1) @ centres


def _cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """fp32 [...] of vectors [..., 3]."""
    from torch.nn import functional as F

    return F.cosine_similarity(predicted.float(), target, dim=-1)


def direction_term(direction: Tensor, coords: Tensor, keep: Tensor) -> Term:
    """1 - cosine to ``pos[j] - pos[i]``, mean over a molecule's pairs, then over molecules (published).

    Args:
        direction: [B, N, N, 3].
        coords: clean coordinates fp32 [B, N, 3]; coincident atoms (the diagonal) have no direction.
        keep: bool [B, N, N], pairs that count.
    """
    target = coords[:, None, :, :] - coords[:, :, None, :]
    keep = keep & target.ne(0).any(-1)
    cosine = _cosine(direction, target)
    pairs = keep.sum((1, 2))  # [B]
    per_molecule = (1 - cosine).where(keep, 0.0).sum((1, 2)) / pairs.clamp(min=1)
    score = cosine.detach().where(keep, 0.0).sum()
    return Term(masked_mean(per_molecule, pairs > 0), score, keep.sum())


def denoise_term(predicted: Tensor, noise: Tensor, keep: Tensor) -> Term:
    """1 - cosine to the coordinate noise, mean over atoms; the score sums cosines.

    Args:
        predicted: [B, N, 3].
        noise: fp32 [B, N, 3] in Angstrom; an atom that was not moved has no direction.
        keep: bool [B, N], atoms that count.
    """
    keep = keep & noise.ne(0).any(-1)
    cosine = _cosine(predicted, noise)
    score = cosine.detach().where(keep, 0.0).sum()
    return Term(masked_mean(1 - cosine, keep), score, keep.sum())


class Objective(NamedTuple):
    """``total`` is the scalar that is optimised and logged; ``terms`` are unweighted."""

    total: Tensor
    terms: dict[str, Term]


def pretrain_terms(
    predictions: Predictions,
    net_input: InputFields[Tensor],
    target: TargetFields[Tensor],
    pairs: Pairs,
    distance_max: float,
) -> dict[str, Term]:
    """The unweighted terms of a batch.

    Args:
        predictions: outputs of the network.
        net_input: rows of ``schema.INPUT_FIELDS``.
        target: rows of ``schema.TARGET_FIELDS``.
        pairs: which pairs count.
        distance_max: centre of the last distance bin in Angstrom.
    """
    of_molecules = target
    if predictions.rows is not None:
        net_input, target = (_rows_of(fields, predictions.rows) for fields in (net_input, target))
    real = net_input["atom_codes"][..., 0] > 0
    every_pair = real[:, :, None] & real[:, None, :]
    shown = net_input["pair_shown"]

    def keep(relation: Shown) -> Tensor:
        return every_pair if pairs == "all" else every_pair & (shown & int(relation)).eq(0)

    has_3d = target["has_coords"]
    with_3d = keep(Shown.DISTANCE) & has_3d[:, None, None]
    noisy = (net_input["atom_shown"] & int(Shown.DISTANCE)).ne(0) & real & has_3d[:, None]
    clean = target["clean_coords"]
    terms = {
        "spd": spd_term(predictions.spd, net_input["spd"], keep(Shown.SPD)),
        "edge": edge_term(predictions.edge, net_input["bond_path"], keep(Shown.EDGE)),
    }
    if predictions.distance is not None:
        terms["distance"] = distance_term(predictions.distance, clean, with_3d, distance_max)
    if predictions.direction is not None:
        terms["direction"] = direction_term(predictions.direction, clean, with_3d)
    terms["denoise"] = denoise_term(predictions.noise, target["noise"], noisy)
    if predictions.descriptors is not None:
        terms["descriptor"] = descriptor_term(predictions.descriptors, of_molecules["descriptors"])
    if predictions.ecfp is not None:
        terms["ecfp"] = ecfp_term(predictions.ecfp, of_molecules["ecfp"])
    return terms


def _rows_of(fields: Any, rows: Tensor) -> Any:  # noqa: ANN401  the same table of fields
    return {name: value[rows] for name, value in fields.items()}


def weigh(terms: Mapping[str, Term], config: PretrainLossConfig) -> Tensor:
    """The weighted sum: the logged total is the optimised total."""
    parts = [config.weights[name] * term.loss for name, term in terms.items()]
    return sum(parts[1:], start=parts[0])


def pretrain_objective(
    predictions: Predictions,
    net_input: InputFields[Tensor],
    target: TargetFields[Tensor],
    config: PretrainLossConfig,
    distance_max: float,
) -> Objective:
    """Terms of a batch and their weighted sum; see :func:`pretrain_terms`."""
    terms = pretrain_terms(predictions, net_input, target, config.pairs, distance_max)
    return Objective(weigh(terms, config), terms)


PRETRAIN_TERMS: Final = (
    TermSpec(
        "spd", "shortest path", "cross entropy, nats", "spd_weight",
        Curve("spd_accuracy", "shortest path accuracy", "fraction of pairs", rises=True),
    ),
    TermSpec(
        "edge", "bonds on the path", "cross entropy, nats", "edge_weight",
        Curve("edge_accuracy", "bonds on the path accuracy", "fraction of bonds", rises=True),
    ),
    TermSpec(
        "distance", "distance", "per pair", "distance_weight",
        Curve("distance_mae", "distance error", "Å, mean absolute"),
    ),
    TermSpec(
        "direction", "direction", "1 - cosine", "distance_weight",
        Curve("direction_cosine", "direction cosine", "cosine", rises=True),
    ),
    TermSpec(
        "denoise", "denoising", "1 - cosine", "denoise_weight",
        Curve("denoise_cosine", "denoising cosine", "cosine", rises=True),
    ),
    TermSpec(
        "descriptor", "descriptors", "smooth L1", "descriptor_weight",
        Curve("descriptor_mae", "descriptor error", "standard deviations, mean absolute"),
    ),
    TermSpec(
        "ecfp", "ECFP", "cross entropy per set bit, nats", "ecfp_weight",
        Curve("ecfp_recall", "ECFP bits found", "fraction of set bits", rises=True),
    ),
)  # fmt: skip
"""The terms in the order in which they are added, logged and drawn."""
