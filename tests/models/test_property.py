"""The fine-tuning network: readouts, invariances, what is frozen, which scale predictions have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.data.samples.blend import unblended
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.heads import PropertyHead, Readout
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.models.property.network import HeadConfig, PropertyConfig, PropertyNet, encoder_part
from tests.molecules import make_record

TINY = PRESETS["moleblend_tiny"]
READOUTS: list[Readout] = ["cls", "mean", "sum", "attention"]


def network(readout: Readout = "cls", *, kind: str = "regression", frozen: int = -1) -> PropertyNet:
    torch.manual_seed(0)
    head = HeadConfig(readout, head_dropout=0.5, freeze_layers=frozen)
    model = PropertyNet(TINY, PropertyConfig(3, kind, head)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.head.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 2 * parameter.shape[-1] ** -0.5)
    return model


def inputs(sizes: list[int]) -> dict[str, Tensor]:
    samples = [unblended(featurize(make_record(n, n)), "both") | {"index": np.array(0)} for n in sizes]
    net_input: dict[str, Tensor] = collate(samples)["net_input"]
    return net_input


@pytest.mark.parametrize("readout", READOUTS)
def test_a_prediction_depends_on_nothing_but_its_molecule(readout: Readout) -> None:
    model, sizes = network(readout), [9, 3, 14, 1, 6]
    with torch.no_grad():
        together = model.predict(**inputs(sizes))
        backwards = model.predict(**inputs(sizes[::-1])).flip(0)
        alone = torch.cat([model.predict(**inputs([size])) for size in sizes])
    assert together.std(0).min() > 1e-2  # molecules differ
    torch.testing.assert_close(backwards, together, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)


def test_attention_pools_by_a_softmax_over_the_atoms_that_are_there() -> None:
    torch.manual_seed(0)
    head = PropertyHead(4, 2, "attention").eval()
    assert head.weigh is not None
    states, real = torch.randn(1, 4, 4), torch.tensor([[True, True, False]])
    logits = head.weigh(states[0, 1:3])[:, 0].tolist()
    share = 1 / (1 + np.exp(logits[1] - logits[0]))
    pooled = share * states[0, 1] + (1 - share) * states[0, 2]
    expected = head.out(torch.nn.functional.gelu(head.dense(pooled)))
    torch.testing.assert_close(head(states, real)[0], expected)


def test_predictions_have_the_scale_of_the_labels() -> None:
    model, net_input = network(), inputs([5, 7])
    model.set_target_scale(torch.tensor([1.0, -5.0, 0.0]), torch.tensor([2.0, 0.5, 1.0]))
    with torch.no_grad():
        expected = model(**net_input) * torch.tensor([2.0, 0.5, 1.0]) + torch.tensor([1.0, -5.0, 0.0])
        torch.testing.assert_close(model.predict(**net_input), expected)
        other = network()
        other.load_state_dict(model.state_dict())  # the weights alone tell the scale
        torch.testing.assert_close(other.predict(**net_input), expected)


def test_classes_are_predicted_as_probabilities() -> None:
    model, net_input = network(kind="classification"), inputs([5, 7])
    with torch.no_grad():
        torch.testing.assert_close(model.predict(**net_input), torch.sigmoid(model(**net_input)))


def test_half_precision_does_not_round_the_scale() -> None:
    model = network()
    model.set_target_scale(torch.tensor([-1234.567, 0.0, 0.0]), torch.ones(3))
    model.half()
    assert model.head.out.weight.dtype == torch.float16
    assert model.target_mean[0].item() == pytest.approx(-1234.567, abs=1e-3)


def test_the_encoder_has_the_names_of_pretraining() -> None:
    pretraining = encoder_part(MoleBlend(TINY).state_dict())
    model = network()
    assert {name: value.shape for name, value in encoder_part(model.state_dict()).items()} == {
        name: value.shape for name, value in pretraining.items()
    }
    heads = set(model.state_dict()) - set(pretraining)
    assert all(name.startswith(("head.", "target_")) for name in heads)


def trained_names(model: PropertyNet) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_freezing_keeps_what_is_below() -> None:
    everything = trained_names(network())
    above = {name for name in everything if name.startswith(("head.", "encoder.layers."))}
    assert trained_names(network(frozen=0)) == above
    lowest = {name for name in above if name.startswith(("encoder.layers.0.", "encoder.layers.1."))}
    assert trained_names(network(frozen=2)) == above - lowest


def test_frozen_layers_run_without_dropout() -> None:
    model = network(frozen=2).train()
    assert [layer.training for layer in model.encoder.layers] == [False, False, True, True]
    assert not model.atoms.training
    assert model.head.training


def test_more_frozen_layers_than_there_are() -> None:
    with pytest.raises(MoleblendError, match=r"--freeze-layers 5: the encoder has 4 layers"):
        network(frozen=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"head_dropout": 1.0}, "--head-dropout 1: give"), ({"freeze_layers": -2}, "--freeze-layers -2")],
)
def test_impossible_heads(options: dict[str, float], message: str) -> None:
    with pytest.raises(MoleblendError, match=message):
        replace(HeadConfig(), **options)  # type: ignore[arg-type]


def test_depth_counts_from_the_top() -> None:
    model = network()
    depths = {id(parameter): depth for parameter, depth in model.layer_depths()}
    assert len(depths) == len(list(model.parameters()))
    assert depths[id(model.head.out.weight)] == 0
    assert depths[id(model.encoder.layers[3].ffn_in.weight)] == 1
    assert depths[id(model.encoder.layers[0].ffn_in.weight)] == 4
    assert {depths[id(p)] for p in (*model.atoms.parameters(), model.encoder.graph_token)} == {5}
