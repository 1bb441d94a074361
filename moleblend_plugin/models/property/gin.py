"""A graph isomorphism network under a property head: the usual baseline, and what GIN's pretraining is for.

B molecules, N atoms, D width, L labels per molecule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Unpack

import torch
from torch import Tensor, nn

from moleblend_plugin.errors import check_rates, check_sizes
from moleblend_plugin.models.parts.across_processes import Exchange
from moleblend_plugin.models.parts.dropout import Dropout
from moleblend_plugin.models.parts.graph_networks import Gin, GraphFeatures
from moleblend_plugin.models.property.network import PropertyConfig, PropertyOutputs
from moleblend_plugin.schema import InputFields, Modality


@dataclass(frozen=True, slots=True)
class GinConfig:
    """Sizes of the network; the defaults are those with which pretrained GINs are compared.

    Five layers of 300, dropout 0.5 (Hu et al., Strategies for Pre-training Graph Neural Networks, ICLR 2020).

    Attributes:
        graph_layers: layers.
        graph_dim: D, width of atom states.
        graph_features: what it sees: all (OGB's features of atoms and bonds), or basic (atomic number,
            chirality and type of bond, as the published rows have).
        graph_dropout: after every layer.
        head_dropout: dropout of the head.

    Raises:
        MoleblendError: an impossible value.
    """

    graph_layers: int = 5
    graph_dim: int = 300
    graph_features: GraphFeatures = "all"
    graph_dropout: float = 0.5
    head_dropout: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(self)
        check_rates(self, "graph_dropout", "head_dropout")


class GinProperty(PropertyOutputs):
    """GIN, mean over atoms, one linear map. Its weights have the names of the pretraining's 2d view.

    It sees atoms and bonds only, whatever ``--input-mode`` shows.

    Args:
        config: sizes.
        property: what is predicted.
    """

    ENCODER: ClassVar[tuple[str, ...]] = ("view_encoders.2d.",)
    LAYERS: ClassVar[str] = "view_encoders.2d.layers"

    def __init__(self, config: GinConfig, property: PropertyConfig) -> None:
        super().__init__()
        self.config = config
        self.add_outputs(property)
        gin = Gin(
            config.graph_dim, config.graph_layers, Exchange(), config.graph_dropout, config.graph_features
        )
        self.view_encoders = nn.ModuleDict({"2d": gin})
        self.head_dropout = Dropout(config.head_dropout)
        self.head = nn.Linear(config.graph_dim, property.outputs)

    def forward(self, **net_input: Unpack[InputFields[Tensor]]) -> Tensor:
        """[B, L]: logits, or standardised values. Arguments are the rows of ``schema.INPUT_FIELDS``."""
        codes = net_input["atom_codes"]
        has_graph = torch.full((len(codes),), int(Modality.GRAPH), dtype=torch.uint8, device=codes.device)
        with self.encoder_gradients():
            read = self.view_encoders["2d"](net_input, {"modalities": has_graph})
        outputs: Tensor = self.head(self.head_dropout(read))
        return outputs
