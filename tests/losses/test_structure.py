"""Terms of structure-aware pretraining: values by hand, stop-gradient (acceptance test 4), absent views."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.structure import (
    STRUCTURE_TERMS,
    StructureLossConfig,
    balance,
    contrasts,
    homogeneity,
    info_nce,
    squared_error,
    structure_terms,
    weigh_structure,
)
from moleblend_plugin.models.structure.fusion import AutoEncoders, ViewHeads

VIEWS = ("2d", "image", "3d")
CONFIG = StructureLossConfig()


def test_info_nce_by_hand() -> None:
    query, key = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    term = info_nce(query, key, 0.5)
    expected = -(math.log(0.5) + math.log(0.5)) / 2  # both rows see two equal cosines
    assert float(term.loss) == pytest.approx(expected)
    assert (int(term.score), int(term.counted)) == (1, 2)


def test_info_nce_without_molecules_is_zero_and_has_a_gradient() -> None:
    query = torch.zeros(0, 4, requires_grad=True)
    term = info_nce(query, torch.zeros(0, 4), 0.1)
    term.loss.backward()
    assert (float(term.loss.detach()), int(term.counted)) == (0.0, 0)
    assert query.grad is not None


def test_errors_average_over_molecules_then_views() -> None:
    error = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[..., None]
    keep = torch.tensor([[True, True], [True, False]])
    assert float(squared_error(error, torch.zeros(2, 2, 1), keep)) == pytest.approx(((1 + 9) / 2 + 4) / 2)


def test_homogeneity_averages_over_pairs_that_are_there() -> None:
    codes = torch.tensor([[[0.0], [1.0], [3.0]], [[0.0], [5.0], [0.0]]])
    present = torch.tensor([[True, True, True], [True, False, True]])
    assert float(homogeneity(codes, present)) == pytest.approx((1 + (9 + 0) / 2 + 4) / 3)


def test_balance_is_least_for_even_use() -> None:
    assert float(balance(torch.full((3, 4), 0.25))) == pytest.approx(-math.log(4))
    assert float(balance(torch.eye(4)[:1])) == pytest.approx(0.0, abs=1e-6)


def test_contrast_takes_the_molecules_that_have_both_views() -> None:
    compared = torch.randn(6, 3, 5)
    present = torch.ones(6, 3, dtype=torch.bool)
    present[4:, 1] = False
    found = contrasts(compared, present, VIEWS, 0.1)
    assert {pair: int(term.counted) for pair, term in found.items()} == {
        "retrieval_2d_image": 8, "retrieval_2d_3d": 12, "retrieval_image_3d": 8}  # fmt: skip
    alone = contrasts(compared[:4], present[:4], VIEWS, 0.1)
    torch.testing.assert_close(found["retrieval_2d_image"].loss, alone["retrieval_2d_image"].loss)


def rebuild_gradients(detached: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of the rebuild term in the heads, and what flows through the codes alone."""
    torch.manual_seed(0)
    heads, autoencoders = ViewHeads([5, 5, 5], 7), AutoEncoders(3, 7, 4, shared=False)
    x = heads([torch.randn(6, 5) for _ in VIEWS])
    rebuilt = autoencoders.decode(autoencoders.encode(x))
    keep = torch.ones(6, 3, dtype=torch.bool)
    weight = heads.heads[0][1].weight
    target = x.detach() if detached else x
    (found,) = torch.autograd.grad(squared_error(rebuilt, target, keep), weight, retain_graph=True)
    (through_codes,) = torch.autograd.grad(rebuilt, weight, 2 * (rebuilt - x).detach() / (6 * 7 * 3))
    return found, through_codes


def test_targets_of_rebuilding_pull_no_feature() -> None:
    """Acceptance 4: with the stop-gradient all of the gradient comes through the codes; without, more."""
    found, through_codes = rebuild_gradients(detached=True)
    torch.testing.assert_close(found, through_codes)
    found, through_codes = rebuild_gradients(detached=False)
    assert (found - through_codes).abs().max() > 1e-3 * through_codes.abs().max()


def output(rows: int = 6) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    views = {name: draw(rows, 3, 5) for name in ("features", "codes", "rebuilt", "crossed", "compared")}
    rest = {
        name: draw(rows, 5) for name in ("refined", "read", "refined_compared", "read_compared", "target")
    }
    there = torch.ones(rows, 3, dtype=torch.bool)
    return SimpleNamespace(**views, **rest, weights=draw(rows, 4).softmax(1), present=there, has_cross=there)


def test_the_features_of_a_batch_get_no_gradient_from_any_term() -> None:
    """They are targets only; the codes come from them elsewhere."""
    batch = output()
    weigh_structure(structure_terms(batch, VIEWS, CONFIG).terms, CONFIG, 1.0).backward()
    assert batch.features.grad is None
    assert batch.rebuilt.grad is not None


def test_the_total_is_the_weighted_sum_of_the_spec() -> None:
    terms = structure_terms(output(), VIEWS, CONFIG).terms
    assert list(terms) == [row.name for row in STRUCTURE_TERMS]
    loss = {name: float(term.loss) for name, term in terms.items()}
    unified = loss["contrast"] + 0.2 * (loss["rebuild"] + loss["cross"]) + 0.6 * loss["homogeneity"]
    structure = 0.5 * (loss["refined"] + loss["read"]) + 0.1 * loss["memory"]
    for share in (0.0, 0.5, 1.0):
        total = weigh_structure(terms, CONFIG, share)
        assert float(total) == pytest.approx(unified + share * structure, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"cross_weight": -1.0}, "--cross-weight -1: give a weight of 0 or more"),
        ({"read_temperature": 0.0}, "--read-temperature 0: give more than 0"),
        ({row.weight: 0.0 for row in STRUCTURE_TERMS}, "all structure weights are 0"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, float], told: str) -> None:
    with pytest.raises(MoleblendError, match=told):
        StructureLossConfig(**settings)
