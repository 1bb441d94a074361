"""A state dict of random numbers in the published layout (method 2)."""

from __future__ import annotations

import torch
from torch import Tensor

ROOT = "encoder.molecule_encoder."


def published_state(
    layers: int = 1, width: int = 16, ffn: int = 24, heads: int = 4, kernels: int = 6
) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "atom_feature.atom_encoder.weight": (512 * 9 + 1, width),
        "atom_feature.in_degree_encoder.weight": (512, width),
        "atom_feature.out_degree_encoder.weight": (512, width),
        "atom_feature.graph_token.weight": (1, width),
        "molecule_attn_bias.edge_encoder.weight": (512 * 3 + 1, heads),
        "molecule_attn_bias.edge_dis_encoder.weight": (128 * heads * heads, 1),
        "molecule_attn_bias.spatial_pos_encoder.weight": (512, heads),
        "molecule_attn_bias.graph_token_virtual_distance.weight": (1, heads),
        "molecule_3d_bias.gbf.means.weight": (1, kernels),
        "molecule_3d_bias.gbf.stds.weight": (1, kernels),
        "molecule_3d_bias.gbf.mul.weight": (1536, 1),
        "molecule_3d_bias.gbf.bias.weight": (1536, 1),
    }  # fmt: skip

    def linear(name: str, out: int, into: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, into), (out,)

    def norm(name: str, size: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (size,), (size,)

    linear("molecule_3d_bias.gbf_proj.layer1", kernels, kernels)
    linear("molecule_3d_bias.gbf_proj.layer2", heads, kernels)
    linear("molecule_3d_bias.edge_proj", width, kernels)
    norm("emb_layer_norm", width)
    for layer in range(layers):
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"layers.{layer}.self_attn.{part}", width, width)
        norm(f"layers.{layer}.self_attn_layer_norm", width)
        linear(f"layers.{layer}.fc1", ffn, width)
        linear(f"layers.{layer}.fc2", width, ffn)
        norm(f"layers.{layer}.final_layer_norm", width)
    for head, last, outputs in (
        ("spd", "linear", 11),
        ("edge", "linear_map_feature", 120),
        ("3d", "linear", 256),
    ):
        for side in ("row", "column"):
            linear(f"blend_{head}_pred_head.transform_n2_head.{side}_head", 32, width)
            norm(f"blend_{head}_pred_head.transform_n2_head.{side}_LayerNorm", 32)
        linear(f"blend_{head}_pred_head.{last}", outputs, 1024)
    for axis in (1, 2, 3):
        linear(f"blend_3d_pred_head.force_proj{axis}", 1, 256)
        linear(f"atom_proc.force_proj{axis}", 1, width)
    for part in "qkv":
        linear(f"atom_proc.{part}_proj", width, width)
    generator = torch.Generator().manual_seed(0)
    state = {ROOT + name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return state | {"encoder.layer_norm.weight": torch.ones(width)}
