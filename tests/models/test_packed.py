"""Without padding a network gives what it gives with it: outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.models.blend import moleblend
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.models.packed import functions, places
from moleblend_plugin.models.parts import kernels
from moleblend_plugin.models.property.network import PropertyConfig, PropertyNet
from moleblend_plugin.schema import ATOMS_SHOWN, PAIRS_SHOWN
from tests.invariants import samples

CONFIG = ModelConfig(
    encoder_layers=2,
    encoder_embed_dim=32,
    encoder_ffn_embed_dim=48,
    encoder_attention_heads=4,
    gaussian_kernels=12,
    dropout=0.0,
    attention_dropout=0.0,
    activation_dropout=0.0,
    drop_path=0.0,
)
SIZES = (9, 1, 14, 70)
"""One atom, and more than the queries that are treated together."""


def batch(shown: str = "blended") -> dict[str, Tensor]:
    net_input = collate(samples(SIZES))["net_input"]
    if shown != "blended":
        real = net_input["atom_codes"][..., 0] > 0
        pairs = real[:, :, None] & real[:, None]
        net_input["pair_shown"] = pairs.to(torch.uint8) * int(PAIRS_SHOWN[shown])
        net_input["atom_shown"] = real.to(torch.uint8) * int(ATOMS_SHOWN[shown])
    return net_input


def shaken(network: nn.Module) -> nn.Module:
    """With other weights than those it begins with, some of which are all alike."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return network


def results(network: nn.Module, net_input: dict[str, Tensor], packs: bool) -> dict[str, Tensor]:
    """Outputs of real atoms and pairs, and gradients."""
    real = net_input["atom_codes"][..., 0] > 0
    network.zero_grad()
    with pytest.MonkeyPatch.context() as patch:
        if not packs:
            patch.setattr(moleblend, "packs", lambda *_: False)
        outputs = network(**net_input)
    if isinstance(outputs, Tensor):
        found = {"outputs": outputs}
    else:
        pairs = real[:, :, None] & real[:, None]
        found = {
            name: output[pairs if output.dim() > 3 else real]
            for name, output in outputs._asdict().items()
            if output is not None
        }
    torch.stack([output.square().mean() for output in found.values()]).sum().backward()
    return found | {name: weight.grad for name, weight in network.named_parameters()}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert ours[name] is not None, name
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(
            ours[name],
            expected,
            rtol=2e-4,
            atol=2e-5 * max(scale, 1e-3),
            msg=lambda m, name=name: f"{name}: {m}",
        )


@pytest.mark.parametrize("shown", ["2d", "3d", "both"])
def test_a_property_network_gives_the_same(shown: str) -> None:
    torch.manual_seed(0)
    network = shaken(PropertyNet(CONFIG, PropertyConfig(2, "regression")))
    assert_equal(*(results(network, batch(shown), packs) for packs in (True, False)))


def test_pretraining_gives_the_same_wherever_the_padding_is() -> None:
    torch.manual_seed(0)
    network, net_input = shaken(MoleBlend(CONFIG)), batch()
    assert_equal(*(results(network, net_input, packs) for packs in (True, False)))
    moved = {name: value.clone() for name, value in net_input.items()}
    for name in ("atom_codes", "degree", "coords", "atom_shown"):
        moved[name] = moved[name].flip(1)
    for name in ("spd", "bond_path", "pair_shown"):
        moved[name] = moved[name].flip(1, 2)
    assert_equal(*(results(network, moved, packs) for packs in (True, False)))


def test_threads_share_the_molecules(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network, net_input = shaken(PropertyNet(CONFIG, PropertyConfig(1, "regression"))), batch("both")
    alone = results(network, net_input, packs=True)
    parts: list[int] = []
    share_out = places.share_out
    monkeypatch.setattr(places, "_WORTH", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)

    def counted(of: places.Places, work: Callable[[int, int, int], None]) -> None:
        share_out(of, lambda part, first, last: (parts.append(part), work(part, first, last))[1])

    monkeypatch.setattr("moleblend_plugin.models.packed.attention.share_out", counted)
    assert_equal(results(network, net_input, packs=True), alone)
    assert set(parts) == {0, 1, 2}


def attention_inputs() -> tuple[Tensor, Tensor, Tensor, functions.PackedBias]:
    """Three molecules, 2 heads of 8."""
    real = torch.arange(30) < torch.tensor([[7], [30], [3]])
    of = functions.Places.of(real)
    draw = torch.Generator().manual_seed(1)
    qkv = torch.randn(len(of.molecules), 48, generator=draw, requires_grad=True)
    table = torch.randn(2, 5, generator=draw, requires_grad=True)
    graph = torch.randn(2, generator=draw, requires_grad=True)
    codes = torch.randint(0, 5, (of.pairs,), generator=draw, dtype=torch.int32)
    return qkv, table, graph, functions.PackedBias(of, codes, table, None, graph)


def test_gradients_with_dropout_are_those_of_the_values_it_gave() -> None:
    """The same draws before and after a small step: the difference is the gradient along the step."""
    qkv, table, graph, bias = attention_inputs()

    def loss(qkv: Tensor, table: Tensor, graph: Tensor) -> Tensor:
        torch.manual_seed(5)
        return functions.attention(qkv, bias._replace(table=table, graph=graph), 0.5).square().sum()

    given = (qkv, table, graph)
    loss(*given).backward()
    steps = [1e-2 * torch.randn_like(part) for part in given]
    with torch.no_grad():
        up = loss(*(part + step for part, step in zip(given, steps, strict=True)))
        down = loss(*(part - step for part, step in zip(given, steps, strict=True)))
    expected = 2 * sum((part.grad * step).sum() for part, step in zip(given, steps, strict=True))
    torch.testing.assert_close(up - down, expected.detach(), rtol=1e-2, atol=1e-3)


def test_dropout_has_its_rate_and_other_draws_in_every_head_row_and_call() -> None:
    """Of values that are all 1 the result is the sum of the weights that are kept."""
    qkv, _, _, bias = attention_inputs()
    with torch.no_grad():
        qkv[:, 32:] = 1.0
        qkv[:, :32] = 0.0
        even = bias._replace(table=torch.zeros(2, 5), graph=torch.zeros(2))
        torch.manual_seed(3)
        sums = torch.stack([functions.attention(qkv, even, 0.25)[:, ::8] for _ in range(400)])
    sums = sums[:, : len(bias.places.padded)]
    assert float(sums.mean()) == pytest.approx(1, abs=5e-3)
    large = sums[:, 8:39]  # 31 tokens: of 31 weights each is kept with probability 3/4
    assert float(large.var()) == pytest.approx(0.25 / 0.75 / 31, rel=0.05)
    flat = large.flatten(1)
    assert float(torch.corrcoef(flat.T).fill_diagonal_(0).abs().max()) < 0.3
    assert float(torch.corrcoef(torch.stack((flat[1:].flatten(), flat[:-1].flatten())))[0, 1]) == (
        pytest.approx(0, abs=0.02)
    )


def test_equal_pairs_have_one_number() -> None:
    draw = np.random.default_rng(0)
    real = torch.from_numpy(np.arange(60) < np.array([[60], [41]]))
    spd, shown = (torch.from_numpy(draw.integers(0, 8, (2, 60, 60)).astype(np.uint8)) for _ in range(2))
    path = torch.from_numpy(draw.integers(0, 3, (2, 60, 60, 5)).astype(np.uint8))
    of = functions.Places.of(real)
    codes, examples = functions.number_pairs(of, spd, path, shown, 3)
    seen = (shown & 3)[..., None]
    keys = torch.cat((seen, torch.where(seen > 0, torch.cat((spd[..., None], path), -1), 0)), -1)
    assert len(examples) == len(of.of_pairs(keys).unique(dim=0)) > 1024  # the table has grown
    assert torch.equal(keys.flatten(0, 2)[examples][codes.long()], of.of_pairs(keys))


def test_what_is_not_finite_is_seen() -> None:
    torch.manual_seed(0)
    network = PropertyNet(CONFIG, PropertyConfig(1, "regression"))
    for weight in (network.bias.relations["spd"].table.weight, network.gaussians.mean):
        kept = weight.detach().clone()
        with torch.no_grad():
            weight[2] = torch.nan
            assert network(**batch("both"))[0].isnan().all()
            weight.copy_(kept)


def test_hooks_are_shown_padded_tensors() -> None:
    network, net_input = PropertyNet(CONFIG, PropertyConfig(1, "regression")), batch("2d")
    given: list[Tensor] = []
    with network.bias.register_forward_hook(lambda _module, _inputs, output: given.append(output)):
        network(**net_input)
    assert given[0].shape == (4, 4, 70, 70)


def test_networks_of_other_sizes_and_other_devices_are_computed_as_they_are() -> None:
    codes = torch.ones(1, 2, 9, dtype=torch.uint8)
    network = nn.Linear(2, 2)
    assert kernels.packs(network, 32, 4, codes)
    with torch.no_grad():
        assert not kernels.packs(network, 32, 4, codes)
        assert kernels.packs(network, 32, 4, codes.expand(1 << 19, 2, 9))
    assert not kernels.packs(network, 24, 4, codes)
    assert not kernels.packs(network, 32, 4, codes.to("meta"))
    assert not kernels.packs(network, 32, 4, codes[:0])
    assert not kernels.packs(network.double(), 32, 4, codes)
