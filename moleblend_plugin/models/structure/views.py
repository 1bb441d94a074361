"""Networks of MMSA-style (reconstructed) pretraining: encoders of the views under ``StructureAwareness``.

The Transformer of the 2d view is the network itself, under the names that pretraining and property runs use:
a checkpoint can be fine-tuned or embedded with as it is. B molecules, V views, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.blend.moleblend import MoleBlend, MoleBlendEncoder
from moleblend_plugin.models.parts.across_processes import Exchange
from moleblend_plugin.models.parts.graph_networks import Gin, SchNet, mean_atoms
from moleblend_plugin.models.parts.resnet import ResNet18, load_image_weights
from moleblend_plugin.models.parts.size_groups import like_sizes
from moleblend_plugin.models.structure.config import StructureConfig, ViewReadout
from moleblend_plugin.models.structure.image_changes import change_drawings, colours
from moleblend_plugin.models.structure.network import StructureAwareness
from moleblend_plugin.schema import (
    ATOMS_SHOWN,
    PAIRS_SHOWN,
    InputFields,
    Modality,
    Predictions,
    StructureOutput,
    ViewFields,
)


def read_view(
    encoder: MoleBlendEncoder, inputs: InputFields[Tensor], view: str, readout: ViewReadout
) -> Tensor:
    """[B, D] of an encoder to which every pair and atom shows the relations of ``view`` only."""
    parts = like_sizes(inputs)
    return parts.join([_read_part(encoder, part, view, readout) for part in parts.inputs])


def _read_part(
    encoder: MoleBlendEncoder, inputs: InputFields[Tensor], view: str, readout: ViewReadout
) -> Tensor:
    shown = inputs | {
        "pair_shown": torch.full_like(inputs["spd"], int(PAIRS_SHOWN[view])),
        "atom_shown": torch.full_like(inputs["degree"], int(ATOMS_SHOWN[view])),
    }
    encoded = encoder.encode(**shown)
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


class _Viewing(MoleBlendEncoder):
    """What both networks below share; ``add_views`` completes them."""

    def add_views(self, structure: StructureConfig, views: Sequence[str]) -> None:
        """Build what comes beside and above the Transformer."""
        self.views = tuple(views)
        self.exchange = Exchange()
        beside = view_encoders(self.config, structure, views, self.exchange)
        self.view_encoders = nn.ModuleDict(beside)
        own = self.config.encoder_embed_dim
        widths = [int(beside[name].outputs) if name in beside else own for name in views]  # type: ignore[arg-type]
        self.structure = StructureAwareness(structure, views, widths, self.exchange)

    def look(
        self, inputs: InputFields[Tensor], views: ViewFields[Tensor], counted: bool | None
    ) -> StructureOutput:
        """Encode the views and compare.

        Args:
            inputs: rows of ``schema.INPUT_FIELDS``, with clean coordinates.
            views: rows of ``schema.VIEW_FIELDS``.
            counted: ``None`` outside of an update; else whether this batch takes part in it, or only keeps
                this process in step with the others.
        """
        if counted is False:
            views = views | {"modalities": views["modalities"] * 0, "fused": views["fused"] * 0}
        with self.exchange.joined(counted is not None):
            features = [
                self.view_encoders[name](inputs, views)
                if name in self.view_encoders
                else read_view(self, inputs, name, self.structure.config.view_readout)
                for name in self.views
            ]
            output: StructureOutput = self.structure(features, views)
            return output


class StructureAware(_Viewing):
    """Structure-aware pretraining.

    Args:
        config: sizes of the Transformer.
        structure: sizes and choices of the rest.
        views: names of the views, in the order of ``schema.VIEWS``.
    """

    def __init__(self, config: ModelConfig, structure: StructureConfig, views: Sequence[str]) -> None:
        if structure.graph_encoder == "transformer":
            super().__init__(config)
        else:
            nn.Module.__init__(self)  # no weights that nothing would use
            self.config = config
        self.add_views(structure, views)

    def forward(
        self, views: ViewFields[Tensor], counted: bool | None = None, **net_input: Unpack[InputFields[Tensor]]
    ) -> StructureOutput:
        """See ``look``; the rest are rows of ``schema.INPUT_FIELDS``."""
        return self.look(net_input, views, counted)


class BlendedStructureAware(_Viewing, MoleBlend):
    """Blend-then-predict and structure awareness on one Transformer."""

    def __init__(self, config: ModelConfig, structure: StructureConfig, views: Sequence[str]) -> None:
        super().__init__(config)
        self.add_views(structure, views)

    def forward(  # type: ignore[override]
        self,
        views: ViewFields[Tensor],
        clean_coords: Tensor,
        counted: bool | None = None,
        **net_input: Unpack[InputFields[Tensor]],
    ) -> tuple[Predictions, StructureOutput]:
        """Predictions of the blended input, and what is compared of the clean views."""
        predictions = super().forward(**net_input)
        clean = net_input | {"coords": clean_coords}
        return predictions, self.look(clean, views, counted)
