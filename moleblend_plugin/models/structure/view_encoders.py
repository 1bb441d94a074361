"""Encoders of the views of MMSA-style (reconstructed) pretraining: Transformer, GIN, SchNet, ResNet.

B molecules, V views, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.blend.moleblend import MoleBlendEncoder
from moleblend_plugin.models.parts.across_processes import Exchange
from moleblend_plugin.models.parts.graph_networks import Gin, SchNet, mean_atoms
from moleblend_plugin.models.parts.resnet import ResNet18, load_image_weights
from moleblend_plugin.models.parts.size_groups import group_by_size
from moleblend_plugin.models.structure.config import StructureConfig, ViewReadout
from moleblend_plugin.models.structure.image_augmentation import change_drawings, colours
from moleblend_plugin.schema import ATOMS_SHOWN, PAIRS_SHOWN, InputFields, Modality, ViewFields


def read_view(
    encoder: MoleBlendEncoder, inputs: InputFields[Tensor], view: str, readout: ViewReadout
) -> Tensor:
    """[B, D] of an encoder to which every pair and atom shows the relations of ``view`` only."""
    parts = group_by_size(inputs)
    return parts.join([_read_part(encoder, part, view, readout) for part in parts.inputs])


def _read_part(
    encoder: MoleBlendEncoder, inputs: InputFields[Tensor], view: str, readout: ViewReadout
) -> Tensor:
    shown = inputs | {
        "pair_shown": torch.full_like(inputs["spd"], int(PAIRS_SHOWN[view])),
        "atom_shown": torch.full_like(inputs["degree"], int(ATOMS_SHOWN[view])),
    }
    encoded = encoder.represent(**shown)
    graph: Tensor = encoded.states[:, 0]
    return graph if readout == "cls" else mean_atoms(encoded.states[:, 1:], encoded.real)


class TransformerView(nn.Module):
    """A Transformer of its own for the 3d view."""

    def __init__(self, config: ModelConfig, readout: ViewReadout) -> None:
        super().__init__()
        self.outputs = config.encoder_embed_dim
        self.readout: ViewReadout = readout
        self.transformer = MoleBlendEncoder(config)

    def forward(self, inputs: InputFields[Tensor], views: ViewFields[Tensor]) -> Tensor:
        """[B, D]."""
        return read_view(self.transformer, inputs, "3d", self.readout)


class ImageView(nn.Module):
    """ResNet-18 on the drawings that there are; zeros elsewhere."""

    def __init__(self, config: StructureConfig, exchange: Exchange) -> None:
        super().__init__()
        self.network = ResNet18(config.image_width, exchange)
        self.outputs = self.network.outputs
        if config.image_weights != "none":
            load_image_weights(self.network, config.image_weights)

    def forward(self, inputs: InputFields[Tensor], views: ViewFields[Tensor]) -> Tensor:
        """[B, width]."""
        there = (views["modalities"] & int(Modality.IMAGE)).ne(0)
        image = views["image"][there]
        seen = change_drawings(image, views["image_change"][there]) if self.training else colours(image)
        rows = self.network(seen)
        blank = rows.new_zeros(len(there), rows.shape[1])
        features: Tensor = blank.masked_scatter(there[:, None], rows)
        return features


def view_encoders(
    config: ModelConfig, structure: StructureConfig, views: Sequence[str], exchange: Exchange
) -> dict[str, nn.Module]:
    """Encoders ``(inputs, views) -> [B, outputs]`` of the views that the network's own Transformer leaves."""
    build: dict[str, Callable[[], nn.Module]] = {"image": lambda: ImageView(structure, exchange)}
    if structure.graph_encoder == "gin":
        build["2d"] = lambda: Gin(
            structure.graph_dim, structure.graph_layers, exchange, features=structure.graph_features
        )
    if structure.geometry_encoder == "schnet":
        build["3d"] = lambda: SchNet(structure.geometry_dim, structure.geometry_layers)
    elif not structure.share_encoder:
        build["3d"] = lambda: TransformerView(config, structure.view_readout)
    return {name: build[name]() for name in views if name in build}
