"""Our network with the published weights meets the published implementation's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.losses.pretrain import (
    PretrainLossConfig,
    denoise_term,
    direction_term,
    edge_term,
    spd_term,
    weigh,
)
from moleblend_plugin.losses.term_table import Term
from moleblend_plugin.models.blend.heads import PropertyHead
from moleblend_plugin.models.blend.moleblend import MoleBlend, geometry
from moleblend_plugin.models.blend.published_weights import rules
from moleblend_plugin.models.blend.relations import Relations
from moleblend_plugin.schema import PAIRS_SHOWN, Shown
from moleblend_plugin.vocab import SPD

from .conftest import Golden

pytestmark = pytest.mark.golden


def assert_meets(ours: Tensor, published: Tensor, where: Tensor) -> None:
    torch.testing.assert_close(ours.detach()[where], published[where], rtol=1e-4, atol=1e-5)


def terms_of(golden: Golden, model: MoleBlend) -> dict[str, Term]:
    predictions = model(**golden.net_input)
    assert predictions.direction is not None
    moved, target = golden.moved, golden.batch["target"]
    shown_3d = golden.net_input["atom_shown"] == Shown.DISTANCE
    pairs = moved[:, :, None] & moved[:, None, :]
    return {
        "spd": spd_term(predictions.spd, golden.net_input["spd"], golden.pairs),
        "edge": edge_term(predictions.edge, golden.net_input["bond_path"], golden.pairs),
        "direction": direction_term(predictions.direction, target["clean_coords"], pairs),
        "denoise": denoise_term(predictions.noise, target["noise"], moved & shown_3d),
    }


def published_weights(golden: Golden) -> PretrainLossConfig:
    """The weights that the golden total was made with."""
    given = golden.expected["weights"]
    return PretrainLossConfig(given["spd"], given["edge"], given["direction"], given["denoise"])


def test_sizes_are_read_off_the_weights(golden: Golden) -> None:
    config, expected = golden.imported.config, golden.expected["config"]
    assert config.encoder_layers == expected["encoder_layers"]
    assert config.encoder_embed_dim == expected["encoder_embed_dim"]
    assert config.encoder_ffn_embed_dim == expected["encoder_ffn_embed_dim"]
    assert config.encoder_attention_heads == expected["encoder_attention_heads"]
    assert config.gaussian_kernels == expected["num_3d_bias_kernel"]


def test_import_leaves_only_the_unused_language_model_head(golden: Golden) -> None:
    assert golden.imported.missing_ours == []
    kept = [name for name in golden.imported.unused_published if name.startswith("encoder.molecule_encoder.")]
    assert kept == []


def test_shortest_paths(golden: Golden) -> None:
    for record, published in zip(golden.records, golden.arrays["spd"], strict=True):
        ours = featurize(record).spd.astype(np.int64) - 1
        ours[ours == SPD.encode(None) - 1] = 510  # how the golden file writes unreachable
        np.testing.assert_array_equal(ours, published[: record.n_atoms, : record.n_atoms])


def test_relation_biases_and_atom_features(golden: Golden) -> None:
    model, batch = golden.model(), golden.net_input
    number = batch["atom_codes"][..., 0]
    distance, _ = geometry(batch["coords"])
    gaussians = model.gaussians(distance, number)
    relations = Relations(number, batch["spd"], batch["bond_path"], gaussians)
    for ours, published in (("spd", "spd"), ("edge", "edge"), ("distance", "3d")):
        bias = model.bias.relations[ours](relations).permute(0, 3, 1, 2)
        where = golden.pairs[:, None].expand_as(bias)
        assert_meets(bias, golden.outputs[f"bias_{published}"], where)
    assert_meets(model.atoms.degree_feature(batch["degree"]), golden.outputs["degree_feature"], golden.real)
    assert_meets(model.atoms.summary_3d(gaussians, golden.real), golden.outputs["summary_3d"], golden.real)
    atoms = model.atoms(batch["atom_codes"], batch["degree"], gaussians, batch["atom_shown"])
    assert_meets(model.encoder.embed(atoms), golden.outputs["embedding"], golden.tokens)


def test_encoder(golden: Golden) -> None:
    states = golden.model().encode(**golden.net_input).states
    assert_meets(states, golden.outputs["encoder"], golden.tokens)


def test_pair_classes(golden: Golden) -> None:
    predictions = golden.model()(**golden.net_input)
    assert_meets(predictions.spd, golden.outputs["spd_logits"], golden.pairs)
    assert_meets(predictions.edge, golden.outputs["edge_logits"], golden.pairs)


def test_direction(golden: Golden) -> None:
    """The published array is zero where no direction is scored: the diagonal, atoms at the origin."""
    predictions = golden.model()(**golden.net_input)
    diagonal = torch.eye(golden.moved.shape[1], dtype=torch.bool)
    scored = golden.moved[:, :, None] & golden.moved[:, None, :] & ~diagonal
    assert_meets(predictions.direction, golden.outputs["direction"], scored)
    assert not golden.outputs["direction"][golden.pairs & ~scored].any()


def test_denoising(golden: Golden) -> None:
    """The published array is zero where no noise is scored: atoms that show no 3D summary."""
    predictions = golden.model()(**golden.net_input)
    scored = golden.moved & (golden.net_input["atom_shown"] == Shown.DISTANCE)
    assert_meets(predictions.noise, golden.outputs["denoise"], scored)
    assert not golden.outputs["denoise"][golden.real & ~scored].any()


def test_losses_and_weighted_total(golden: Golden) -> None:
    terms, expected = terms_of(golden, golden.model()), golden.expected["losses"]
    published = {
        "spd": "spd_loss",
        "edge": "edge_loss",
        "direction": "3d_loss",
        "denoise": "node_output_loss",
    }
    for name, term in terms.items():
        assert term.loss.item() == pytest.approx(expected[published[name]], abs=1e-4), name
    total = weigh(terms, published_weights(golden))
    assert total.item() == pytest.approx(expected["weighted_total"], abs=1e-4)
    assert sum(term.loss.item() for term in terms.values()) == pytest.approx(expected["loss"], abs=1e-4)


def test_gradient_norms(golden: Golden) -> None:
    model = golden.model()
    weigh(terms_of(golden, model), published_weights(golden)).backward()
    parameters, ours = dict(model.named_parameters()), {}
    squares: dict[str, float] = {}
    for rule in rules(golden.imported.config):
        gradient = parameters[rule.ours].grad
        assert gradient is not None, rule.ours
        for name, part in rule.split(gradient).items():  # two tables of ours may share one published table
            squares[name] = squares.get(name, 0.0) + part.double().square().sum().item()
    ours = {name: square**0.5 for name, square in squares.items()}
    expected = golden.expected["grad_norms"]
    assert set(expected) <= set(ours)
    rounding = 1e-6 * max(expected.values())  # a key bias shifts a whole row of logits: its gradient is 0
    for name, norm in expected.items():
        assert ours[name] == pytest.approx(norm, rel=1e-3, abs=rounding), name


@pytest.mark.parametrize("readout", ["cls", "sum"])
def test_fine_tuning_network(golden: Golden, readout: str) -> None:
    """2D and 3D both shown, clean coordinates: the encoder and the head on top of it."""
    model = golden.model().eval()
    net_input = golden.net_input | {
        "coords": golden.batch["target"]["clean_coords"],
        "pair_shown": golden.pairs.to(torch.uint8) * int(PAIRS_SHOWN["both"]),
        "atom_shown": golden.real.to(torch.uint8) * int(Shown.SPD | Shown.DISTANCE),
    }
    encoded = model.encode(**net_input)
    assert_meets(encoded.states, golden.finetune["encoder"], golden.tokens)
    parameters = {
        name.removeprefix("param:encoder.proj_out.").replace("out_proj", "out"): value
        for name, value in golden.finetune.items()
        if name.startswith("param:")
    }
    outputs = parameters["out.bias"].numel()
    head = PropertyHead(golden.imported.config.encoder_embed_dim, outputs, readout).eval()
    head.load_state_dict(parameters)
    logits = head(encoded.states, encoded.real)
    torch.testing.assert_close(logits.detach(), golden.finetune[f"logits_{readout}"], rtol=1e-4, atol=1e-5)
