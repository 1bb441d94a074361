"""The descriptor term by hand: values are masked one by one, and whole molecules leave the relations out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.data.samples.blend import BlendConfig, blend
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.losses.pretrain import (
    PretrainLossConfig,
    descriptor_term,
    ecfp_term,
    pretrain_objective,
)
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.moleblend import MoleBlend
from tests.molecules import make_record


def test_the_term_by_hand() -> None:
    predicted = torch.tensor([[0.5, 3.0], [1.0, 1.0]], requires_grad=True)
    target = torch.tensor([[0.0, 0.0], [1.0, torch.nan]])
    term = descriptor_term(predicted, target)
    # smooth L1: 0.5 * 0.25, 3 - 0.5, 0; the missing value counts for nothing
    torch.testing.assert_close(term.loss, torch.tensor((0.125 + 2.5 + 0.0) / 3))
    assert (float(term.score), int(term.counted)) == (3.5, 3)
    term.loss.backward()
    assert predicted.grad is not None
    assert predicted.grad[1, 1] == 0
    assert predicted.grad.isfinite().all()


def test_a_batch_without_any_value_has_loss_0() -> None:
    term = descriptor_term(torch.ones(2, 3), torch.full((2, 3), torch.nan))
    assert (float(term.loss), int(term.counted)) == (0.0, 0)


def objective(whole_share: float) -> dict[str, float]:
    config = BlendConfig(whole_share=whole_share)
    samples = [
        blend(featurize(make_record(n, i)), config, 1, 1, i)
        | {"index": np.array(i), "descriptors": np.ones(4, np.float32)}
        for i, n in enumerate((5, 9))
    ]
    batch = collate(samples)
    torch.manual_seed(0)
    model = MoleBlend(PRESETS["moleblend_tiny"], descriptors=4, some_whole=whole_share > 0).eval()
    found = pretrain_objective(
        model(**batch["net_input"]), batch["net_input"], batch["target"], PretrainLossConfig(), 20.0
    )
    return {name: int(term.counted) for name, term in found.terms.items()}


def test_whole_molecules_serve_the_descriptor_term_alone() -> None:
    blended, whole = objective(0.0), objective(1.0)
    assert blended["descriptor"] == whole["descriptor"] == 8
    assert all(blended.values())
    assert not any(count for name, count in whole.items() if name != "descriptor")


def test_a_share_of_0_draws_nothing_more() -> None:
    features = featurize(make_record(9))
    plain, share = (blend(features, BlendConfig(whole_share=w), 1, 1, 3) for w in (0.0, 1e-12))
    for name, value in plain.items():
        np.testing.assert_array_equal(value, share[name])


def test_the_ecfp_term_by_hand() -> None:
    logits, counts = torch.tensor([[0.0, 0.0, -100.0]]), torch.tensor([[2, 0, 0]], dtype=torch.uint8)
    term = ecfp_term(logits, counts)
    torch.testing.assert_close(term.loss, 2 * torch.log(torch.tensor(2.0)))  # over one set bit
    assert (int(term.score), int(term.counted)) == (0, 1)
    assert int(ecfp_term(torch.tensor([[3.0, 0.0, 0.0]]), counts).score) == 1


def test_terms_of_blended_molecules_are_those_of_their_own_batch() -> None:
    """Leaving whole molecules out of the pair heads changes nothing for the others, but the padding."""
    torch.manual_seed(0)
    model = MoleBlend(PRESETS["moleblend_tiny"], descriptors=4, some_whole=True).eval()

    def terms(shares: list[float]) -> dict[str, float]:
        samples = [
            blend(featurize(make_record(9, i)), BlendConfig(whole_share=share), 1, 1, i)
            | {"index": np.array(i), "descriptors": np.full(4, i, np.float32)}
            for i, share in enumerate(shares)
        ]
        batch = collate(samples)
        predictions, config = model(**batch["net_input"]), PretrainLossConfig()
        found = pretrain_objective(predictions, batch["net_input"], batch["target"], config, 20.0).terms
        return {name: float(term.loss.detach()) for name, term in found.items() if name != "descriptor"}

    alone, beside = terms([0.0, 0.0]), terms([0.0, 0.0, 1.0])
    assert alone == pytest.approx(beside, rel=1e-5)
