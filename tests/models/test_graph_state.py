"""What a prediction leaves out of the last layer changes nothing about the graph token."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moleblend_plugin.models.blend.heads import Readout
from moleblend_plugin.models.blend.moleblend import MoleBlendEncoder
from moleblend_plugin.models.parts import kernels
from moleblend_plugin.models.property.network import HeadConfig, PropertyConfig, PropertyNet
from tests.models.test_packed import CONFIG, batch, shaken


def encoder() -> MoleBlendEncoder:
    torch.manual_seed(0)
    return shaken(MoleBlendEncoder(CONFIG)).eval()


def flipped(net_input: dict[str, Tensor]) -> dict[str, Tensor]:
    """With padding before the atoms."""
    axes = {"spd": (1, 2), "bond_path": (1, 2), "pair_shown": (1, 2)}
    return {name: value.flip(axes.get(name, (1,))) for name, value in net_input.items()}


@pytest.mark.parametrize("pairs", [0, kernels.MANY_PAIRS], ids=["padded", "without padding"])
@pytest.mark.parametrize("shown", ["2d", "3d", "both"])
def test_the_graph_tokens_state_is_that_of_all_states(shown: str, pairs: int) -> None:
    network = encoder()
    for net_input in (batch(shown), flipped(batch(shown))):
        with torch.no_grad():
            whole = network.represent(**net_input)
            with kernels.many_predicted(pairs):
                assert network._packs(net_input) == bool(pairs)
                alone = network.represent_graph(**net_input)
        assert alone.states.shape == (4, 1, 32)
        torch.testing.assert_close(alone.states[:, 0], whole.states[:, 0], rtol=1e-4, atol=1e-5)
        assert torch.equal(alone.real, whole.real)


def test_with_gradients_hooks_or_dropout_all_states_are_computed() -> None:
    network, net_input = encoder(), batch("2d")
    assert network.represent_graph(**net_input).states.shape[1] == 71
    seen: list[tuple[int, ...]] = []
    with torch.no_grad():
        hook = network.encoder.layers[-1].register_forward_hook(lambda *given: seen.append(given[2].shape))
        network.represent_graph(**net_input)
        hook.remove()
        network.represent_graph(**net_input)
        assert seen == [(4, 71, 32)]
        assert network.train().represent_graph(**net_input).states.shape[1] == 71


@pytest.mark.parametrize("readout", ["cls", "mean", "attention"])
def test_a_head_predicts_what_it_gives_with_gradients(readout: Readout) -> None:
    torch.manual_seed(0)
    property_config = PropertyConfig(2, "regression", HeadConfig(readout=readout))
    network, net_input = shaken(PropertyNet(CONFIG, property_config)).eval(), batch("2d")
    wanted = network.predict(**net_input).detach()
    with torch.inference_mode():
        torch.testing.assert_close(network.predict(**net_input), wanted, rtol=1e-4, atol=1e-5)


def test_a_block_of_many_ends() -> None:
    network, net_input = encoder(), batch("2d")
    with torch.no_grad():
        with kernels.many_predicted(kernels.MANY_PAIRS), kernels.many_predicted(0):
            assert network._packs(net_input)
        assert not network._packs(net_input)
        with kernels.many_predicted(kernels.MANY_PAIRS - 1):
            assert not network._packs(net_input)
