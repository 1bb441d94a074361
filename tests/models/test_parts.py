"""Single parts against their formula, written out plainly."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.blend.config import PRESETS, ModelConfig
from moleblend_plugin.models.blend.encoder import DropPath, Encoder
from moleblend_plugin.models.blend.heads import BilinearPairs, DenoiseHead, DirectionPairs, PropertyHead
from moleblend_plugin.models.blend.moleblend import MoleBlend, geometry
from moleblend_plugin.models.blend.relations import (
    BlendedBias,
    DistanceRelation,
    EdgeRelation,
    GaussianDistances,
    Relations,
    SpdRelation,
    _Gaussians,
)
from moleblend_plugin.models.parts.kernels import looked_up, multiplied
from moleblend_plugin.schema import PAIRS_SHOWN, Shown
from moleblend_plugin.vocab import BOND, N_STEREO, N_TYPE, SPD
from tests.invariants import samples

HEADS = 4


def relations(sizes: tuple[int, ...] = (7, 4), kernels: int = 6) -> Relations:
    net_input = collate(samples(sizes))["net_input"]
    number = net_input["atom_codes"][..., 0]
    distance, _ = geometry(net_input["coords"])
    gaussians = GaussianDistances(kernels, "intended")(distance, number).detach()
    return Relations(number, net_input["spd"], net_input["bond_path"], gaussians)


def test_edge_bias_is_the_mean_over_hops_of_mixed_bond_embeddings() -> None:
    """Method 3, pair by pair."""
    torch.manual_seed(0)
    module, given = EdgeRelation(HEADS), relations((9,))
    bias = module(given)
    for i in range(9):
        for j in range(9):
            expected = torch.zeros(HEADS)
            for hop, code in enumerate(given.bond_path[0, i, j].tolist()):
                if code == BOND.pad:
                    continue
                kind, stereo, conjugated = BOND.decode(code)
                rows = module.features.weight[[kind, N_TYPE + stereo, N_TYPE + N_STEREO + conjugated]]
                expected = expected + rows.mean(0) @ module.hops[hop]
            bonds = SPD.decode(int(given.spd[0, i, j]))
            expected = expected / min(max(5 if bonds is None else bonds, 1), 5)
            torch.testing.assert_close(bias[0, i, j], expected)


def test_edge_bias_of_an_unreachable_pair_is_zero() -> None:
    given = relations((6,))
    apart = given._replace(spd=torch.full_like(given.spd, SPD.encode(None)), bond_path=given.bond_path * 0)
    assert not EdgeRelation(HEADS)(apart).any()


def test_rows_of_a_table_add_up_alike_looked_up_and_multiplied() -> None:
    """A CPU takes the one, a GPU the other."""
    codes = torch.randint(0, 9, (50, 5), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    results = []
    for way in (looked_up, multiplied):
        table = torch.randn(5, 9, 4, generator=torch.Generator().manual_seed(2), requires_grad=True)
        total = way(table, codes)
        total.square().sum().backward()
        results.append((total, table.grad))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_gaussians_are_normal_densities_of_the_scaled_distance() -> None:
    torch.manual_seed(0)
    module = GaussianDistances(3, "intended")
    for table in (module.scale_from, module.scale_to, module.shift_from, module.shift_to):
        torch.nn.init.normal_(table.weight)
    distance, number = torch.tensor([[[0.0, 1.5], [1.5, 0.0]]]), torch.tensor([[6, 8]], dtype=torch.uint8)
    out = module(distance, number)
    scale = module.scale_from.weight[6, 0] + module.scale_to.weight[8, 0]
    shift = module.shift_from.weight[6, 0] + module.shift_to.weight[8, 0]
    density = (
        torch.distributions.Normal(module.mean, module.std.abs() + 0.01).log_prob(scale * 1.5 + shift).exp()
    )
    torch.testing.assert_close(out[0, 0, 1], density)
    assert (out[0, 0, 1] != out[0, 1, 0]).any()  # the pair is ordered


def test_gaussians_stay_fp32_under_mixed_precision() -> None:
    module = GaussianDistances(3, "intended")
    distance, number = (
        torch.tensor([[[0.0, 10.001], [10.001, 0.0]]]),
        torch.tensor([[6, 6]], dtype=torch.uint8),
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = module(distance, number)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, module(distance, number), rtol=0, atol=0)


@pytest.mark.parametrize(("init", "largest"), [("intended", 3.0), ("published", 0.1)])
def test_gaussian_initialisation_survives_the_network_initialisation(init: str, largest: float) -> None:
    torch.manual_seed(0)
    gaussians = MoleBlend(ModelConfig(2, 32, 32, 4, gaussian_kernels=512, gaussian_init=init)).gaussians
    assert 0.5 * largest < gaussians.mean.abs().max() <= largest
    scale = gaussians.scale_from.weight[1:]
    assert bool((scale == 1).all()) == (init == "intended")


def test_blended_bias_shows_each_pair_its_relation_only() -> None:
    torch.manual_seed(0)
    module, given = BlendedBias(HEADS, kernels=6), relations()
    bits = torch.tensor([0, *map(int, Shown), int(PAIRS_SHOWN["both"])])
    shown = bits[torch.randint(5, given.spd.shape)].to(torch.uint8)
    out = module(given, shown).permute(0, 2, 3, 1)
    parts = {relation.shown: relation(given) for relation in module.relations.values()}
    for bit in Shown.SPD, Shown.EDGE, Shown.DISTANCE:
        torch.testing.assert_close(out[shown == bit], parts[bit][shown == bit])
    torch.testing.assert_close(
        out[shown == PAIRS_SHOWN["both"]], sum(parts.values())[shown == PAIRS_SHOWN["both"]]
    )
    assert not out[shown == 0].any()
    assert {type(r) for r in module.relations.values()} == {SpdRelation, EdgeRelation, DistanceRelation}


def test_graph_token_bias_is_added_to_its_row_and_column_once() -> None:
    encoder = Encoder([], 32, HEADS)
    pairs = torch.randn(1, HEADS, 3, 3)
    pairs[..., 2] = -torch.inf  # the third atom is padding
    bias = encoder.token_bias(pairs)
    graph = encoder.graph_bias
    torch.testing.assert_close(bias[0, :, 0, :3], graph[:, None].expand(-1, 3))
    torch.testing.assert_close(bias[0, :, 1:, 0], graph[:, None].expand(-1, 3))
    torch.testing.assert_close(bias[..., 1:, 1:], pairs)
    assert torch.isinf(bias[..., 3]).all()


def test_bilinear_head_equals_the_outer_product() -> None:
    torch.manual_seed(0)
    head, x = BilinearPairs(16, 8, 5), torch.randn(2, 6, 16)
    row, col = head.row_norm(F.gelu(head.row(x))), head.col_norm(F.gelu(head.col(x)))
    outer = torch.einsum("bip,bjq->bijpq", row, col).flatten(-2)
    torch.testing.assert_close(head(x), head.linear(outer), rtol=1e-4, atol=1e-5)


def test_direction_head_folds_two_linear_maps() -> None:
    torch.manual_seed(0)
    head, x = DirectionPairs(16, 8), torch.randn(2, 6, 16)
    row, col = head.row_norm(F.gelu(head.row(x))), head.col_norm(F.gelu(head.col(x)))
    outer = torch.einsum("bip,bjq->bijpq", row, col).flatten(-2)
    torch.testing.assert_close(head(x), head.axes(head.linear(outer)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["equivariant", "published"])
def test_denoising_head_equals_its_formula(form: str) -> None:
    """Heads joined first, then projected per axis."""
    torch.manual_seed(0)
    head, x, bias = DenoiseHead(16, HEADS, 0.0, form), torch.randn(1, 5, 16), torch.randn(1, HEADS, 5, 5)
    _, unit = geometry(torch.randn(1, 5, 3))

    def split(y: torch.Tensor) -> torch.Tensor:
        return y.view(5, HEADS, 4)

    q, k, v = split(head.q(x)), split(head.k(x)), split(head.v(x))
    attention = torch.softmax(torch.einsum("ihd,jhd->hij", q, k) / math.sqrt(4) + bias[0], -1)
    force = torch.einsum("hij,ijc,jhd->icdh", attention, unit[0], v).transpose(2, 3).reshape(5, 3, 16)
    axis = [0, 0, 0] if form == "equivariant" else [0, 1, 2]
    expected = torch.stack([force[:, c] @ head.project.weight[axis[c]] for c in range(3)], -1)
    if form == "published":
        expected = expected + head.project.bias
    torch.testing.assert_close(head(x, bias, unit)[0], expected, rtol=1e-4, atol=1e-5)


def test_geometry_by_hand() -> None:
    distance, unit = geometry(torch.tensor([[[0.0, 0.0, 0.0], [3.0, 4.0, 0.0]]]))
    assert distance[0, 0, 1] == 5
    torch.testing.assert_close(unit[0, 0, 1], torch.tensor([0.6, 0.8, 0.0]), rtol=1e-5, atol=0)
    assert not unit[0, 0, 0].any()


def test_drop_path_drops_whole_molecules_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    out = DropPath(0.25).train()(torch.ones(4000, 3, 2))
    kept = out[:, 0, 0] != 0
    assert (out == out[:, :1, :1]).all()
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert out.mean().item() == pytest.approx(1.0, abs=0.04)


def test_readouts_by_hand() -> None:
    torch.manual_seed(0)
    states, real = torch.randn(2, 4, 8), torch.tensor([[True, True, False], [True, True, True]])
    head = PropertyHead(8, 3, "sum").eval()
    each = head.out(F.gelu(head.dense(states)))
    torch.testing.assert_close(head(states, real)[0], each[0, 1:3].sum(0))
    head.readout = "mean"
    torch.testing.assert_close(head(states, real)[0], each[0, 1:3].mean(0))
    head.readout = "cls"
    torch.testing.assert_close(head(states, real), each[:, 0])


def test_presets() -> None:
    assert set(PRESETS) == {"moleblend_tiny", "moleblend_small", "moleblend_base"}
    base = PRESETS["moleblend_base"]
    assert (base.encoder_layers, base.encoder_embed_dim, base.encoder_attention_heads) == (12, 768, 32)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            {"encoder_embed_dim": 100, "encoder_attention_heads": 16},
            "--encoder-embed-dim 100 is not a multiple",
        ),
        ({"encoder_layers": 0}, "--encoder-layers 0"),
        ({"dropout": 1.0}, "--dropout 1: give 0 <= p < 1"),
        ({"distance_bins": 1}, "--distance-bins"),
    ],
)
def test_sizes_that_cannot_be_built(settings: dict[str, object], named: str) -> None:
    with pytest.raises(MoleblendError, match=named):
        ModelConfig(**settings)


def test_gradients_of_gaussian_features_are_those_of_the_plain_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    x = (12 * torch.rand(3, 4, 4, generator=generator, dtype=torch.float64)).requires_grad_()
    mean, width = (torch.rand(2, 8, generator=generator, dtype=torch.float64) * 3 + 0.4).unbind()
    mean.requires_grad_()
    width.requires_grad_()

    plain = torch.exp(-0.5 * ((x[..., None] - mean) / width) ** 2) / (math.sqrt(2 * math.pi) * width)
    slope = math.sqrt(0.5) / width
    ours = _Gaussians.apply(x, slope, -mean * slope, -torch.log(math.sqrt(2 * math.pi) * width))

    assert torch.allclose(ours, plain, atol=1e-12)
    upstream = torch.randn(plain.shape, generator=generator, dtype=torch.float64)
    of_ours = torch.autograd.grad(ours, (x, mean, width), upstream)
    of_plain = torch.autograd.grad(plain, (x, mean, width), upstream)
    for a, b in zip(of_ours, of_plain, strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-12)
