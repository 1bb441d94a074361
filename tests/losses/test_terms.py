"""Loss terms by hand, and where there is nothing to score."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.pretrain import (
    PretrainLossConfig,
    denoise_term,
    direction_term,
    distance_term,
    edge_term,
    expected_distance,
    pretrain_objective,
    pretrain_terms,
    spd_term,
    weigh,
)
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.schema import Shown
from moleblend_plugin.vocab import BOND, EDGE_CLASSES, SPD
from tests.invariants import samples

EVERY = torch.ones(1, 2, 2, dtype=torch.bool)


def test_spd_scores_reachable_pairs_only() -> None:
    """Of four entries only 0 -> 1 at two bonds has a class: the diagonal and no path have none."""
    spd = torch.tensor(
        [[[SPD.encode(0), SPD.encode(2)], [SPD.encode(None), SPD.encode(0)]]], dtype=torch.uint8
    )
    logits = torch.randn(1, 2, 2, 11)
    term = spd_term(logits, spd, EVERY)
    assert term.loss.item() == pytest.approx(-logits[0, 0, 1].log_softmax(-1)[1].item())
    assert term.counted.item() == 1
    assert term.score.item() == float(logits[0, 0, 1].argmax() == 1)


def test_spd_of_a_long_path_is_the_last_class() -> None:
    """A path over 19 bonds raises in the published code (method 6.4)."""
    spd = torch.full((1, 2, 2), SPD.encode(40), dtype=torch.uint8)
    logits = torch.zeros(1, 2, 2, 11)
    logits[..., 10] = 50.0
    assert spd_term(logits, spd, EVERY).loss.item() == pytest.approx(0.0, abs=1e-6)


def test_edge_ignores_missing_hops_and_other_bonds() -> None:
    single, dative, cis = BOND.encode(0, 0, 1), BOND.encode(4, 0, 0), BOND.encode(1, 3, 0)
    path = torch.zeros(1, 2, 2, 5, dtype=torch.uint8)
    path[0, 0, 1, :3] = torch.tensor([single, dative, cis])
    logits = torch.randn(1, 2, 2, 5, 24)
    term = edge_term(logits, path, EVERY)
    expected = -logits[0, 0, 1, 0].log_softmax(-1)[EDGE_CLASSES.encode(single)]
    assert term.loss.item() == pytest.approx(expected.item())
    assert term.counted.item() == 1


def test_distance_shares_its_target_between_two_bins() -> None:
    """Centres 0, 10, 20: a distance of 3 is 0.7 of bin 0 and 0.3 of bin 1."""
    coords = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 3.0, 0.0]]])
    logits = torch.randn(1, 2, 2, 3)
    term = distance_term(logits, coords, EVERY, 20.0)
    log_p = logits.log_softmax(-1)
    expected = (
        -(0.7 * (log_p[0, 0, 1, 0] + log_p[0, 1, 0, 0]) + 0.3 * (log_p[0, 0, 1, 1] + log_p[0, 1, 0, 1])) / 2
    )
    assert term.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert term.counted.item() == 2  # the diagonal does not count
    error = (expected_distance(logits, 20.0) - 3.0).abs()
    assert term.score.item() == pytest.approx((error[0, 0, 1] + error[0, 1, 0]).item(), rel=1e-5)


def test_distance_beyond_the_last_bin_counts_as_the_last() -> None:
    coords = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 99.0, 0.0]]])
    logits = torch.zeros(1, 2, 2, 3)
    logits[..., 2] = 40.0
    assert distance_term(logits, coords, EVERY, 20.0).loss.item() == pytest.approx(0.0, abs=1e-6)


def test_direction_averages_over_molecules_then() -> None:
    """A molecule of two atoms counts as much as one of three."""
    coords = torch.zeros(2, 3, 3)
    coords[0, 1, 0] = 1.0
    coords[1, 1, 0], coords[1, 2, 0] = 1.0, 2.0
    keep = torch.zeros(2, 3, 3, dtype=torch.bool)
    keep[0, :2, :2] = keep[1] = True
    right = coords[:, None] - coords[:, :, None]
    opposite_first = torch.where(torch.tensor([True, False])[:, None, None, None], -right, right)
    assert direction_term(right, coords, keep).loss.item() == pytest.approx(0.0, abs=1e-6)
    assert direction_term(opposite_first, coords, keep).loss.item() == pytest.approx(1.0)


def test_denoise_averages_over_atoms() -> None:
    noise = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [1.0, 1.0, 1.0]]])
    predicted = torch.tensor([[[5.0, 0.0, 0.0], [1.0, 0.0, 0.0], [9.0, 9.0, 9.0]]])
    term = denoise_term(predicted, noise, torch.tensor([[True, True, False]]))
    assert term.loss.item() == pytest.approx(0.5)
    assert (term.score.item(), term.counted.item()) == (1.0, 2)


def test_denoise_leaves_out_atoms_that_were_not_moved() -> None:
    noise = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    term = denoise_term(torch.ones(1, 2, 3), noise, torch.ones(1, 2, dtype=torch.bool))
    assert term.counted.item() == 1
    assert term.loss.item() == pytest.approx(1 - 1 / math.sqrt(3))


def model_and_batch(sizes: list[int], conformers: int = 1) -> tuple[MoleBlend, dict]:
    torch.manual_seed(0)
    return MoleBlend(PRESETS["moleblend_tiny"]), collate(samples(sizes, conformers))


@pytest.mark.parametrize(("sizes", "conformers"), [([1], 1), ([1, 1], 0), ([8, 5], 0)])
def test_nothing_to_score_is_zero_with_finite_gradients(sizes: list[int], conformers: int) -> None:
    """One atom alone raises in the published code, a mean over no atom is NaN (method 6.4, 6.7)."""
    model, batch = model_and_batch(sizes, conformers)
    objective = pretrain_objective(
        model(**batch["net_input"]), batch["net_input"], batch["target"], PretrainLossConfig(), 20.0
    )
    objective.total.backward()
    assert math.isfinite(objective.total.item())
    assert objective.terms["distance"].loss.item() == 0
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_total_is_the_weighted_sum_of_the_terms() -> None:
    model, batch = model_and_batch([9, 6])
    config = PretrainLossConfig(spd_weight=0.3, edge_weight=0.0, distance_weight=2.0, denoise_weight=1.0)
    objective = pretrain_objective(
        model.eval()(**batch["net_input"]), batch["net_input"], batch["target"], config, 20.0
    )
    terms = {name: term.loss.item() for name, term in objective.terms.items()}
    expected = 0.3 * terms["spd"] + 2.0 * terms["distance"] + terms["denoise"]
    assert objective.total.item() == pytest.approx(expected, rel=1e-6)
    assert weigh(objective.terms, config).item() == objective.total.item()


def test_the_batch_is_not_changed_by_the_loss() -> None:
    """The published loss overwrites coordinates: a second call adds noise to noise (method 6.7)."""
    model, batch = model_and_batch([9, 6])
    before = {name: tensor.clone() for name, tensor in (batch["net_input"] | batch["target"]).items()}
    pretrain_terms(model(**batch["net_input"]), batch["net_input"], batch["target"], "all", 20.0)
    for name, tensor in (batch["net_input"] | batch["target"]).items():
        assert torch.equal(tensor, before[name]), name


def test_hidden_pairs_only() -> None:
    model, batch = model_and_batch([9, 6])
    predictions = model.eval()(**batch["net_input"])
    shown = batch["net_input"]["pair_shown"]
    counted = {
        pairs: pretrain_terms(predictions, batch["net_input"], batch["target"], pairs, 20.0)[
            "distance"
        ].counted
        for pairs in ("all", "hidden")
    }
    off_diagonal = ~torch.eye(9, dtype=torch.bool) & (shown > 0)
    assert counted["all"] == off_diagonal.sum()
    assert counted["hidden"] == (off_diagonal & (shown != Shown.DISTANCE)).sum()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"spd_weight": -1.0}, "--spd-weight -1"),
        (
            {"spd_weight": 0.0, "edge_weight": 0.0, "distance_weight": 0.0, "denoise_weight": 0.0},
            "all loss weights",
        ),
        ({"denoise_weight": np.inf}, "--denoise-weight inf"),
        ({"pairs": "some"}, "--pairs some"),
    ],
)
def test_impossible_weights(settings: dict[str, object], named: str) -> None:
    with pytest.raises(MoleblendError, match=named):
        PretrainLossConfig(**settings)
