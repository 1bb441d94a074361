"""The importer's rows and names, without golden files."""

from __future__ import annotations

import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.models.blend.published_weights import from_published, rules
from moleblend_plugin.vocab import ATOM_FEATURES, ATOM_OFFSETS, SPD
from tests.published_files import ROOT, published_state


def test_every_parameter_of_ours_is_filled() -> None:
    imported = from_published(published_state())
    MoleBlend(imported.config).load_state_dict(imported.state)  # strict
    assert imported.missing_ours == []
    assert imported.unused_published == ["encoder.layer_norm.weight"]


def test_table_rows_follow_the_published_tokens() -> None:
    """``512 f + value + 2`` for atoms, ``d + 1`` and 511 for path lengths, ``3 + z`` and ``515 + z``."""
    published = published_state()
    state = from_published(published).state
    atoms = published[ROOT + "atom_feature.atom_encoder.weight"]
    for f, feature in enumerate(ATOM_FEATURES):
        for value in (0, feature.size - 1):
            row = state["atoms.features.weight"][ATOM_OFFSETS[f] + value + 1]
            torch.testing.assert_close(row, atoms[512 * f + value + 2])
    spd = published[ROOT + "molecule_attn_bias.spatial_pos_encoder.weight"]
    for distance in (0, 7, 253):
        row = state["bias.relations.spd.table.weight"][SPD.encode(distance)]
        torch.testing.assert_close(row, spd[distance + 1])
    torch.testing.assert_close(state["bias.relations.spd.table.weight"][SPD.encode(None)], spd[511])
    scale = published[ROOT + "molecule_3d_bias.gbf.mul.weight"]
    carbon = 5  # OGB code of atomic number 6
    torch.testing.assert_close(state["gaussians.scale_from.weight"][carbon + 1], scale[3 + carbon])
    torch.testing.assert_close(state["gaussians.scale_to.weight"][carbon + 1], scale[515 + carbon])


def test_joined_maps_split_back() -> None:
    published = published_state()
    imported = from_published(published)
    for rule in rules(imported.config):
        if len(rule.published) > 1:
            for name, part in rule.split(imported.state[rule.ours]).items():
                torch.testing.assert_close(part, published[name])


def test_a_missing_head_is_listed_and_the_rest_is_taken() -> None:
    published = {name: t for name, t in published_state().items() if "blend_3d" not in name}
    imported = from_published(published)
    assert imported.missing_ours
    assert all(name.startswith("pair_head.") for name in imported.missing_ours)
    assert "spd_head.linear.weight" in imported.state


def test_something_else_is_refused() -> None:
    with pytest.raises(MoleblendError, match="no published MoleBLEND checkpoint"):
        from_published({"embed.weight": torch.zeros(2, 2)})


def test_a_tensor_of_another_shape_is_named() -> None:
    published = published_state() | {ROOT + "molecule_3d_bias.gbf.mul.weight": torch.zeros(10, 1)}
    with pytest.raises(MoleblendError, match="gbf.mul.weight has an unexpected shape"):
        from_published(published)
