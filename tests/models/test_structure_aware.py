"""The structure-aware network: invariances (acceptance test 3), absent views, every choice of parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.models.property.network import encoder_mismatch
from moleblend_plugin.models.structure.config import STRUCTURE_PRESETS, StructureConfig
from moleblend_plugin.models.structure.network import BlendedStructureAware, StructureAware
from moleblend_plugin.schema import StructureOutput
from tests.invariants import turn
from tests.viewed import SIZES, SMALL, VIEWS, batch_of, part_of, viewed

ATOMS = (5, 9, 3, 7, 8, 4, 6, 1, 10, 5, 7, 6)
OTHERS = replace(SIZES, graph_encoder="gin", geometry_encoder="schnet")
CHOICES = {
    "two Transformers": SIZES,
    "one Transformer": replace(SIZES, share_encoder=True, view_readout="cls"),
    "GIN and SchNet": OTHERS,
    "concat": replace(SIZES, fusion="concat", structure_input="all", hypergraph="random_walk"),
    "gated": replace(SIZES, fusion="gated", share_autoencoder=True),
}


def network(structure: StructureConfig = SIZES, views: tuple[str, ...] = VIEWS) -> StructureAware:
    """Large weights, so that every input matters."""
    torch.manual_seed(0)
    model = StructureAware(SMALL, structure, views)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("atoms", "bias", "encoder.")) and parameter.dim() > 1:
                parameter.normal_(0, parameter.shape[-1] ** -0.5)
    return model.eval()


def look(model: StructureAware, batch: dict) -> StructureOutput:
    with torch.no_grad():
        return model(views=batch["views"], **batch["net_input"])


@pytest.mark.parametrize("structure", CHOICES.values(), ids=CHOICES)
def test_the_order_of_molecules_is_all_that_changes(structure: StructureConfig) -> None:
    """Permuting the batch permutes g and r (acceptance 3)."""
    model, batch = network(structure), batch_of(viewed(ATOMS, blank=[1, 4], flat=[2]))
    order = np.random.default_rng(0).permutation(len(ATOMS)).tolist()
    before, after = look(model, batch), look(model, part_of(batch, order))
    for name in ("unified", "refined", "read", "codes", "crossed"):
        expected = getattr(before, name)[order]
        torch.testing.assert_close(getattr(after, name), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("structure", [SIZES, OTHERS], ids=["Transformer", "SchNet"])
def test_the_3d_view_does_not_turn_with_the_molecule(structure: StructureConfig) -> None:
    """Rotation and translation leave h^3d unchanged (acceptance 3); another geometry does not."""
    model, batch = network(structure), batch_of(viewed(ATOMS))
    turned, _ = turn(batch["net_input"]["coords"])
    third = look(model, batch).codes[:, 2]
    batch["net_input"]["coords"] = turned
    torch.testing.assert_close(look(model, batch).codes[:, 2], third, rtol=0, atol=1e-4)
    batch["net_input"]["coords"] = turned * 1.3
    assert (look(model, batch).codes[:, 2] - third).abs().max() > 1e-3


@pytest.mark.parametrize("structure", [SIZES, OTHERS], ids=["Transformer", "GIN"])
def test_the_2d_view_sees_no_coordinates_and_the_3d_view_no_bonds(structure: StructureConfig) -> None:
    model, batch = network(structure), batch_of(viewed(ATOMS))
    before = look(model, batch).codes
    moved = {"coords": batch["net_input"]["coords"] * 2}
    after = look(model, batch | {"net_input": batch["net_input"] | moved}).codes
    assert torch.equal(after[:, :2], before[:, :2])
    bonds = {name: torch.zeros_like(batch["net_input"][name]) for name in ("spd", "bond_path", "degree")}
    after = look(model, batch | {"net_input": batch["net_input"] | bonds}).codes
    torch.testing.assert_close(after[:, 1:], before[:, 1:])
    assert (after[:, 0] - before[:, 0]).abs().max() > 1e-4


@pytest.mark.parametrize("structure", [SIZES, OTHERS], ids=["Transformer", "others"])
def test_company_and_padding_change_no_code(structure: StructureConfig) -> None:
    model, batch = network(structure), batch_of(viewed(ATOMS))
    together = look(model, batch).codes
    molecules = viewed(ATOMS)
    for row in (0, 7):
        alone = look(model, molecules.collate([molecules[row]])).codes
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)


def test_absent_views_are_left_out_of_the_unified_embedding() -> None:
    model, batch = network(), batch_of(viewed(ATOMS, blank=[1, 4], flat=[2, 4]))
    output = look(model, batch)
    assert output.present[1].tolist() == [True, False, True]
    assert output.present[4].tolist() == [True, False, False]
    torch.testing.assert_close(output.unified[1], output.codes[1, [0, 2]].mean(0))
    torch.testing.assert_close(output.unified[4], output.codes[4, 0])
    assert output.has_cross.sum(1).tolist() == [3, 2, 2, 3, 0, 3, 3, 3, 3, 3, 3, 3]
    assert output.vertices.tolist() == [row != 4 for row in range(12)]  # 4 has nothing beside 2d
    assert len(output.refined) == len(output.target) == 11


def test_each_view_is_rebuilt_from_another_one() -> None:
    model, batch = network(), batch_of(viewed(ATOMS))
    output, source = look(model, batch), batch["views"]["cross_from"]
    row, view = 5, 0
    other = int(source[row, view])
    assert other != view
    decoded = model.structure.autoencoders.decoders[view](output.codes[row, other])
    torch.testing.assert_close(output.crossed[row, view], decoded)


def test_the_hypergraph_input_hides_the_2d_code() -> None:
    """With ``others`` the refined embeddings do not move with the 2d view; with ``all`` they do."""
    batch = batch_of(viewed(ATOMS))
    bonds = {name: torch.zeros_like(batch["net_input"][name]) for name in ("spd", "bond_path", "degree")}
    other = batch | {"net_input": batch["net_input"] | bonds}
    for choice, same in (("others", True), ("all", False)):
        model = network(replace(SIZES, structure_input=choice))
        before, after = look(model, batch).refined, look(model, other).refined
        assert torch.allclose(before, after, atol=1e-6) is same


@pytest.mark.parametrize("views", [("2d", "image"), ("2d", "3d"), VIEWS], ids="+".join)
@pytest.mark.parametrize("structure", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("absent", [False, True])
def test_every_weight_has_a_gradient(
    views: tuple[str, ...], structure: StructureConfig, absent: bool
) -> None:
    """Whatever is absent from a batch: processes exchange the gradients of all weights."""
    from moleblend_plugin.data.samples.views import ViewConfig
    from moleblend_plugin.losses.structure import StructureLossConfig, structure_terms, weigh_structure

    everyone = range(len(ATOMS)) if absent else ()
    molecules = viewed(ATOMS, blank=everyone, flat=everyone, config=ViewConfig(",".join(views)))
    batch = batch_of(molecules)
    model = StructureAware(SMALL, structure, views).train()
    output = model(views=batch["views"], **batch["net_input"])
    config = StructureLossConfig()
    weigh_structure(structure_terms(output, views, config).terms, config, 0.0).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_the_transformer_has_the_names_of_pretraining() -> None:
    """Acceptance 8: what a property run takes from it is complete, and nothing is left over."""
    tiny = PRESETS["moleblend_tiny"]
    for structure in (SIZES, replace(SIZES, share_encoder=True), replace(SIZES, geometry_encoder="schnet")):
        state = StructureAware(tiny, structure, VIEWS).state_dict()
        assert encoder_mismatch(MoleBlend(tiny).state_dict(), state) == ([], [])


def test_both_objectives_share_one_transformer() -> None:
    batch = batch_of(viewed(ATOMS))
    torch.manual_seed(0)
    model = BlendedStructureAware(SMALL, replace(SIZES, share_encoder=True), VIEWS).eval()
    clean = batch["net_input"]["coords"]
    with torch.no_grad():
        predictions, output = model(views=batch["views"], clean_coords=clean, **batch["net_input"])
        plain = MoleBlend.forward(model, **batch["net_input"])
    torch.testing.assert_close(predictions.spd, plain.spd)
    assert len(output.refined) == len(ATOMS)


def test_presets_have_room_for_torchvisions_weights() -> None:
    assert STRUCTURE_PRESETS["base"][1].image_width == 64


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"neighbours": 0}, "--neighbours 0: give 1 or more"),
        ({"anchor_temperature": 0.0}, "--anchor-temperature 0: give more than 0"),
        ({"refined_dropout": 1.0}, "--refined-dropout 1: give 0 <= p < 1"),
        ({"share_encoder": True, "graph_encoder": "gin"}, "--share-encoder is for two Transformers"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, float | str], told: str) -> None:
    with pytest.raises(MoleblendError, match=told):
        StructureConfig(**settings)
