"""Networks of MMSA-style (reconstructed) pretraining: encoders of the views under ``StructureAwareness``.

The Transformer of the 2d view is the network itself, under the names that pretraining and property runs use:
a checkpoint can be fine-tuned or embedded with as it is. B molecules, V views, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor, nn

from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.blend.moleblend import MoleBlend, MoleBlendEncoder
from moleblend_plugin.models.parts.across_processes import Exchange
from moleblend_plugin.models.structure.comparison import StructureAwareness
from moleblend_plugin.models.structure.config import StructureConfig
from moleblend_plugin.models.structure.view_encoders import read_view, view_encoders
from moleblend_plugin.schema import InputFields, Predictions, StructureOutput, ViewFields


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
