"""Names and layouts of published MoleBLEND checkpoints, mapped to ours (method 2 to 4).

The published tables have a stride of 512 rows per feature; ours hold only the rows that exist. Where the
published code has several maps side by side (q, k, v; one per axis) ours have one, joined along rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.schema import PATH_HOPS
from moleblend_plugin.vocab import ATOM_SIZES, BOND_FEATURES, DEGREE, SPD

BASE: Final = "encoder.molecule_encoder."
_STRIDE: Final = 512


def _identity(tensor: Tensor) -> Tensor:
    return tensor


def _rows(index: list[int]) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor[torch.tensor(index)]


def _atom_rows() -> list[int]:
    """Published row of each of our atom rows: padding, then ``512 f + value + 2``."""
    return [0] + [_STRIDE * f + value + 2 for f, size in enumerate(ATOM_SIZES) for value in range(size)]


def _bond_rows() -> list[int]:
    """``512 f + value + 3``."""
    return [
        _STRIDE * f + value + 3 for f, feature in enumerate(BOND_FEATURES) for value in range(feature.size)
    ]


def _element_rows(first: int) -> list[int]:
    """``3 + z`` or ``515 + z``; our row 0 is padding."""
    return [0] + [first + z for z in range(ATOM_SIZES[0])]


@dataclass(frozen=True, slots=True)
class Rule:
    """``ours`` is made of the published tensors, each passed through ``select``, joined along dimension 0."""

    ours: str
    published: tuple[str, ...]
    select: Callable[[Tensor], Tensor] = _identity

    def build(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Our tensor from the published ones."""
        return torch.cat([self.select(tensors[name]) for name in self.published])

    def split(self, tensor: Tensor) -> dict[str, Tensor]:
        """Parts of one of our tensors (or of its gradient) by published name."""
        return dict(zip(self.published, tensor.chunk(len(self.published)), strict=True))


def _linear(ours: str, *published: str) -> Iterator[Rule]:
    for kind in ("weight", "bias"):
        yield Rule(f"{ours}.{kind}", tuple(f"{name}.{kind}" for name in published))


def _table_rules(heads: int) -> Iterator[Rule]:
    atom, bias, gbf = BASE + "atom_feature.", BASE + "molecule_attn_bias.", BASE + "molecule_3d_bias.gbf."
    yield Rule("atoms.features.weight", (atom + "atom_encoder.weight",), _rows(_atom_rows()))
    for name in ("in_degree", "out_degree"):
        rows = _rows(list(range(DEGREE.size)))
        yield Rule(f"atoms.{name}.weight", (f"{atom}{name}_encoder.weight",), rows)
    yield Rule("encoder.graph_token", (atom + "graph_token.weight",), torch.Tensor.flatten)
    yield Rule("encoder.graph_bias", (bias + "graph_token_virtual_distance.weight",), torch.Tensor.flatten)
    spd_rows = [*range(SPD.size - 1), _STRIDE - 1]
    yield Rule("bias.relations.spd.table.weight", (bias + "spatial_pos_encoder.weight",), _rows(spd_rows))
    yield Rule("bias.relations.edge.features.weight", (bias + "edge_encoder.weight",), _rows(_bond_rows()))
    yield Rule(
        "bias.relations.edge.hops",
        (bias + "edge_dis_encoder.weight",),
        lambda tensor: tensor.view(-1, heads, heads)[:PATH_HOPS],
    )
    yield Rule("gaussians.mean", (gbf + "means.weight",), torch.Tensor.flatten)
    yield Rule("gaussians.std", (gbf + "stds.weight",), torch.Tensor.flatten)
    for ours, name in (("scale", "mul"), ("shift", "bias")):
        for side, first in (("from", 3), ("to", _STRIDE + 3)):
            rows = _rows(_element_rows(first))
            yield Rule(f"gaussians.{ours}_{side}.weight", (f"{gbf}{name}.weight",), rows)


def rules(config: ModelConfig) -> list[Rule]:
    """Every rule for a network of this size, in the published forms of its heads."""
    out = list(_table_rules(config.encoder_attention_heads))
    bias_3d = BASE + "molecule_3d_bias."
    out += _linear("bias.relations.distance.hidden", bias_3d + "gbf_proj.layer1")
    out += _linear("bias.relations.distance.out", bias_3d + "gbf_proj.layer2")
    out += _linear("atoms.summary", bias_3d + "edge_proj")
    out += _linear("encoder.norm", BASE + "emb_layer_norm")
    for layer in range(config.encoder_layers):
        ours, theirs = f"encoder.layers.{layer}.", f"{BASE}layers.{layer}."
        out += _linear(ours + "attention.qkv", *(f"{theirs}self_attn.{part}_proj" for part in "qkv"))
        out += _linear(ours + "attention.out", theirs + "self_attn.out_proj")
        out += _linear(ours + "attention_norm", theirs + "self_attn_layer_norm")
        out += _linear(ours + "ffn_in", theirs + "fc1")
        out += _linear(ours + "ffn_out", theirs + "fc2")
        out += _linear(ours + "ffn_norm", theirs + "final_layer_norm")
    for ours, theirs, linear in (
        ("spd_head", "blend_spd_pred_head", "linear"),
        ("edge_head", "blend_edge_pred_head", "linear_map_feature"),
        ("pair_head", "blend_3d_pred_head", "linear"),
    ):
        for our_side, side in (("row", "row"), ("col", "column")):
            transform = f"{BASE}{theirs}.transform_n2_head.{side}"
            out += _linear(f"{ours}.{our_side}", transform + "_head")
            out += _linear(f"{ours}.{our_side}_norm", transform + "_LayerNorm")
        out += _linear(f"{ours}.linear", f"{BASE}{theirs}.{linear}")
    axes = [f"force_proj{axis}" for axis in (1, 2, 3)]
    out += _linear("pair_head.axes", *(f"{BASE}blend_3d_pred_head.{axis}" for axis in axes))
    for part in "qkv":
        out += _linear(f"denoise_head.{part}", f"{BASE}atom_proc.{part}_proj")
    out += _linear("denoise_head.project", *(f"{BASE}atom_proc.{axis}" for axis in axes))
    return out


def infer_config(tensors: Mapping[str, Tensor]) -> ModelConfig:
    """Sizes of a published checkpoint, read off its tensors.

    Raises:
        MoleblendError: a tensor that every published checkpoint has is missing.
    """

    def shape(name: str) -> torch.Size:
        if BASE + name not in tensors:
            raise MoleblendError(f"no published MoleBLEND checkpoint: it has no tensor named {BASE + name}")
        return tensors[BASE + name].shape

    pattern = re.compile(re.escape(BASE) + r"layers\.(\d+)\.")
    layers = {int(match[1]) for name in tensors if (match := pattern.match(name))}
    ffn, width = shape("layers.0.fc1.weight")
    return ModelConfig(
        encoder_layers=len(layers),
        encoder_embed_dim=width,
        encoder_ffn_embed_dim=ffn,
        encoder_attention_heads=shape("molecule_attn_bias.spatial_pos_encoder.weight")[1],
        gaussian_kernels=shape("molecule_3d_bias.gbf.means.weight")[1],
        pair_hidden_dim=shape("blend_spd_pred_head.transform_n2_head.row_head.weight")[0],
        pair_target="direction",
        denoise_form="published",
    )


@dataclass(frozen=True, slots=True)
class Imported:
    """Result of :func:`from_published`: our state dict, and what was left over on either side."""

    config: ModelConfig
    state: dict[str, Tensor]
    unused_published: list[str]
    missing_ours: list[str]


def from_published(tensors: Mapping[str, Tensor]) -> Imported:
    """Map a published state dict to ours.

    Raises:
        MoleblendError: not a published checkpoint, or a tensor of another shape than the rest implies.
    """
    config = infer_config(tensors)
    state: dict[str, Tensor] = {}
    used: set[str] = set()
    missing: list[str] = []
    for rule in rules(config):
        if any(name not in tensors for name in rule.published):
            missing.append(rule.ours)
            continue
        try:
            state[rule.ours] = rule.build(tensors).float().clone()
        except (IndexError, RuntimeError) as error:
            raise MoleblendError(
                f"published tensor {rule.published[0]} has an unexpected shape: {error}"
            ) from None
        used.update(rule.published)
    return Imported(config, state, sorted(set(tensors) - used), missing)
