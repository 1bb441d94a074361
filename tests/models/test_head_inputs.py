"""Numbers of a molecule that the property head reads beside the encoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moleblend_plugin.models.blend.heads import PropertyHead, Readout
from moleblend_plugin.models.property.network import HeadConfig, PropertyConfig, PropertyNet
from tests.labelled import SMALL
from tests.models.test_property import READOUTS, inputs

INPUTS = 5


def network(readout: Readout) -> PropertyNet:
    torch.manual_seed(0)
    head = HeadConfig(readout, molecule_featurizers="descriptors")
    model = PropertyNet(SMALL, PropertyConfig(3, "regression", head, INPUTS)).eval()
    with torch.no_grad():
        for parameter in model.head.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 2 * parameter.shape[-1] ** -0.5)
    return model


def predict(model: PropertyNet, sizes: list[int], numbers: Tensor) -> Tensor:
    with torch.no_grad():
        predicted: Tensor = model.predict(**inputs(sizes), head_inputs=numbers)  # type: ignore[call-arg]
    return predicted


@pytest.mark.parametrize("readout", READOUTS)
def test_a_prediction_depends_on_its_molecule_and_its_numbers(readout: Readout) -> None:
    model, sizes = network(readout), [9, 3, 14, 1]
    numbers = torch.randn(4, INPUTS, generator=torch.Generator().manual_seed(1))
    together = predict(model, sizes, numbers)
    alone = torch.cat([predict(model, [size], row[None]) for size, row in zip(sizes, numbers, strict=True)])
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)
    backwards = predict(model, sizes[::-1], numbers.flip(0)).flip(0)
    torch.testing.assert_close(backwards, together, rtol=1e-5, atol=1e-5)
    shifted = torch.cat((numbers[:1], numbers[0] + torch.eye(INPUTS)))  # each of the numbers by 1
    one, *others = predict(model, sizes[:1] * (1 + INPUTS), shifted)
    assert all((other - one).abs().min() > 1e-4 for other in others)


def readout_by_hand(head: PropertyHead, read: Tensor) -> Tensor:
    return head.out(F.gelu(head.dense(read)))  # type: ignore[no-any-return]


def test_the_graph_token_is_joined_with_the_numbers() -> None:
    torch.manual_seed(0)
    head = PropertyHead(4, 2, "cls", inputs=3).eval()
    states, numbers = torch.randn(2, 5, 4), torch.randn(2, 3)
    joined = torch.cat((states[:, 0], numbers), dim=1)
    torch.testing.assert_close(head(states, torch.ones(2, 4).bool(), numbers), readout_by_hand(head, joined))


@pytest.mark.parametrize("readout", ["mean", "sum"])
def test_outputs_of_atoms_are_joined_by_those_of_the_molecule(readout: Readout) -> None:
    torch.manual_seed(0)
    head = PropertyHead(4, 2, readout, inputs=3).eval()
    assert head.joined is not None
    states, numbers = torch.randn(1, 4, 4), torch.randn(1, 3)
    real = torch.tensor([[True, True, False]])
    atoms = readout_by_hand(head, states[:, 1:3]).sum(1) / (2 if readout == "mean" else 1)
    molecule = torch.cat((states[:, 1:3].mean(1), numbers), dim=1)
    expected = atoms + readout_by_hand(head.joined, molecule)
    torch.testing.assert_close(head(states, real, numbers), expected)


@pytest.mark.parametrize("readout", READOUTS)
def test_without_numbers_the_head_is_as_ever(readout: Readout) -> None:
    names = {f"{part}.{kind}" for part in ("dense", "out") for kind in ("weight", "bias")}
    names |= {"weigh.weight"} if readout == "attention" else set()
    assert set(PropertyHead(4, 2, readout).state_dict()) == names


def test_numbers_belong_to_the_head() -> None:
    model = network("mean")
    depths = {name: depth for name, (_, depth) in zip(
        (name for name, _ in model.named_parameters()), model.layer_depths(), strict=True)}  # fmt: skip
    assert {depth for name, depth in depths.items() if "joined" in name} == {0}
