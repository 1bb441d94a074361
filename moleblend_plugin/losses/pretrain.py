"""Blend-then-predict: the weighted sum of four terms, and what is logged about them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from torch import Tensor

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.terms import (
    Term,
    denoise_term,
    direction_term,
    distance_term,
    edge_term,
    spd_term,
)
from moleblend_plugin.schema import InputFields, Shown, TargetFields

Pairs = Literal["all", "hidden"]


@dataclass(frozen=True, slots=True)
class PretrainLossConfig:
    """Weights of the terms (published values) and which pairs count.

    Attributes:
        spd_weight: of the path-length term.
        edge_weight: of the bond-path term.
        distance_weight: of the distance term, or of the direction term where the model has that head.
        denoise_weight: of the coordinate-noise term.
        pairs: "all" scores every pair (published); "hidden" only pairs whose relation was not shown.
        log_term_gnorm: log the gradient norm of every term in training; costs one backward pass each.

    Raises:
        MoleblendError: a negative weight, or none above 0.
    """

    spd_weight: float = 0.1
    edge_weight: float = 0.1
    distance_weight: float = 0.5
    denoise_weight: float = 6.0
    pairs: Pairs = "all"
    log_term_gnorm: bool = False

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise MoleblendError(f"--{name}-weight {weight:g}: give a weight of 0 or more")
        if not any(self.weights.values()):
            raise MoleblendError("all loss weights are 0; give one of --spd-weight, ... a value above 0")
        if self.pairs not in ("all", "hidden"):
            raise MoleblendError(f"--pairs {self.pairs}: choose all or hidden")

    @property
    def weights(self) -> dict[str, float]:
        """Weight per term; "distance" and "direction" share a slot, and a model has only one of them."""
        return {
            "spd": self.spd_weight,
            "edge": self.edge_weight,
            "distance": self.distance_weight,
            "direction": self.distance_weight,
            "denoise": self.denoise_weight,
        }


class PairPredictions(Protocol):
    """What :func:`pretrain_terms` reads: ``models.blend.moleblend.Predictions`` has it."""

    @property
    def spd(self) -> Tensor:
        """[B, N, N, 11]."""

    @property
    def edge(self) -> Tensor:
        """[B, N, N, P, 24]."""

    @property
    def distance(self) -> Tensor | None:
        """[B, N, N, bins]."""

    @property
    def direction(self) -> Tensor | None:
        """[B, N, N, 3]."""

    @property
    def noise(self) -> Tensor:
        """[B, N, 3]."""


class Objective(NamedTuple):
    """``total`` is the scalar that is optimised and logged; ``terms`` are unweighted."""

    total: Tensor
    terms: dict[str, Term]


SCORES: Final = {
    "spd": "spd_accuracy",
    "edge": "edge_accuracy",
    "distance": "distance_mae",
    "direction": "direction_cosine",
    "denoise": "denoise_cosine",
}
"""Name under which ``score / counted`` of a term is logged; ``distance_mae`` is in Angstrom."""


def pretrain_terms(
    predictions: PairPredictions,
    net_input: InputFields[Tensor],
    target: TargetFields[Tensor],
    pairs: Pairs,
    distance_max: float,
) -> dict[str, Term]:
    """The four unweighted terms of a batch.

    Args:
        predictions: outputs of the network.
        net_input: rows of ``schema.INPUT_FIELDS``.
        target: rows of ``schema.TARGET_FIELDS``.
        pairs: which pairs count.
        distance_max: centre of the last distance bin in Angstrom.
    """
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
    return terms


def weigh(terms: Mapping[str, Term], config: PretrainLossConfig) -> Tensor:
    """The weighted sum: the logged total is the optimised total."""
    parts = [config.weights[name] * term.loss for name, term in terms.items()]
    return sum(parts[1:], start=parts[0])


def pretrain_objective(
    predictions: PairPredictions,
    net_input: InputFields[Tensor],
    target: TargetFields[Tensor],
    config: PretrainLossConfig,
    distance_max: float,
) -> Objective:
    """Terms of a batch and their weighted sum; see :func:`pretrain_terms`."""
    terms = pretrain_terms(predictions, net_input, target, config.pairs, distance_max)
    return Objective(weigh(terms, config), terms)
