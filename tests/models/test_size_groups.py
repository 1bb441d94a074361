"""Mixed batches cut into parts: fewer padded pairs, the same features, like sizes left whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from moleblend_plugin.models.blend.moleblend import MoleBlendEncoder
from moleblend_plugin.models.parts.size_groups import MOLECULES, group_by_size
from moleblend_plugin.models.structure.view_encoders import read_view
from tests.viewed import SMALL, batch_of, part_of, viewed

MIXED = np.random.default_rng(3).permutation(np.r_[np.full(60, 4), np.arange(2, 22), 30]).tolist()


def padded_pairs(parts: list) -> int:
    return sum(part["spd"].numel() for part in parts)


def test_parts_are_small_and_hold_every_molecule_once() -> None:
    inputs = batch_of(viewed(MIXED))["net_input"]
    parts = group_by_size(inputs)
    assert all(0 < len(part["atom_codes"]) <= MOLECULES for part in parts.inputs)
    assert padded_pairs(parts.inputs) < 0.5 * inputs["spd"].numel()
    atoms = parts.join([(part["atom_codes"][..., 0] > 0).sum(1) for part in parts.inputs])
    assert atoms.tolist() == MIXED
    for part in parts.inputs:
        assert all(value.is_contiguous() for value in part.values())
        assert (part["atom_codes"][:, -1, 0] > 0).any(), "no part is padded beyond its largest"


@pytest.mark.parametrize(
    "sizes", [[6] * 70, [5, 6] * 40, [3]], ids=["one size", "two near sizes", "one molecule"]
)
def test_like_sizes_stay_one_part(sizes: list[int]) -> None:
    inputs = batch_of(viewed(sizes))["net_input"]
    (whole,) = group_by_size(inputs).inputs
    assert whole is inputs


def test_one_part_cut_to_its_largest_is_put_back_in_order() -> None:
    inputs = part_of(batch_of(viewed([5, 3, 4, 20])), [0, 1, 2])["net_input"]
    parts = group_by_size(inputs)
    (only,) = parts.inputs
    assert only["spd"].shape == (3, 5, 5)
    assert parts.join([(only["atom_codes"][..., 0] > 0).sum(1)]).tolist() == [5, 3, 4]


@pytest.mark.parametrize("readout", ["mean", "cls"])
@pytest.mark.parametrize("view", ["2d", "3d"])
def test_features_and_gradients_are_those_of_the_whole_batch(
    view: str, readout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    encoder = MoleBlendEncoder(SMALL)
    inputs = batch_of(viewed(MIXED))["net_input"]
    weigh = torch.randn(len(MIXED), SMALL.encoder_embed_dim)

    def run() -> tuple[torch.Tensor, list[torch.Tensor]]:
        features = read_view(encoder, inputs, view, readout)
        used = [weight for weight in encoder.parameters() if weight.requires_grad]
        return features, list(torch.autograd.grad((features * weigh).sum(), used, allow_unused=True))

    parted, pulled = run()
    monkeypatch.setattr("moleblend_plugin.models.parts.size_groups.MOLECULES", len(MIXED))
    whole, expected = run()
    torch.testing.assert_close(parted, whole, rtol=1e-5, atol=1e-6)
    assert sum(grad is not None and bool(grad.any()) for grad in expected) > 5
    for grad, other in zip(pulled, expected, strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-4, atol=1e-5)
