"""Sizes and choices of MMSA-style (reconstructed) pretraining, and the named presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from moleblend_plugin.errors import MoleblendError, check_rates, check_sizes
from moleblend_plugin.models.blend.config import PRESETS, ModelConfig
from moleblend_plugin.models.parts.graph_networks import GraphFeatures

Fusion = Literal["mean", "concat", "gated"]
ViewReadout = Literal["mean", "cls"]
HypergraphForm = Literal["symmetric", "random_walk"]


@dataclass(frozen=True, slots=True)
class StructureConfig:
    """Views, unified embedding, hypergraph and memory; the reconstruction's values (none is the paper's).

    Attributes:
        graph_encoder: 2d view: transformer (2D relations only), or gin (with bond embeddings).
        geometry_encoder: 3d view: transformer (3D relations only), or schnet (all distances up to 10 A).
        view_readout: feature of a Transformer's view: mean (over atoms), or cls (graph token, nearly the
            same for all molecules at first).
        share_encoder: one Transformer for the 2d and the 3d view.
        graph_layers: layers of gin.
        graph_dim: width of gin.
        graph_features: what gin sees of atoms and bonds: all (OGB's), or basic (atomic number, chirality,
            type of bond).
        geometry_layers: interactions of schnet.
        geometry_dim: width of schnet.
        image_width: width of ResNet-18's first stage; torchvision's weights need 64.
        image_weights: file of torchvision's ResNet-18 weights to begin from, or none.
        view_dim: width of each view's projected feature (x).
        code_dim: width of the codes (c) and of the unified embedding (u).
        refined_dim: width of refined embeddings (g), anchors and memory reads (r).
        contrast_dim: width of what is compared between views (q).
        share_autoencoder: one encoder and decoder for the features of all views.
        fusion: codes to unified embedding: mean, concat (with a network), or gated (a softmax over views).
        structure_input: what the hypergraph sees: others (all views but 2d, whose code it must find), or all.
        neighbours: molecules of a hyperedge, itself included (k); 1 is no hypergraph.
        hypergraph: normalisation: symmetric (HGNN), or random_walk (HGM2R).
        refined_dropout: on features before the hypergraph convolution.
        anchors: rows of the memory (K).
        anchor_temperature: of the softmax over anchors.

    Raises:
        MoleblendError: an impossible value.
    """

    graph_encoder: Literal["transformer", "gin"] = "transformer"
    geometry_encoder: Literal["transformer", "schnet"] = "transformer"
    view_readout: ViewReadout = "mean"
    share_encoder: bool = False
    graph_layers: int = 5
    graph_dim: int = 300
    graph_features: GraphFeatures = "all"
    geometry_layers: int = 6
    geometry_dim: int = 300
    image_width: int = 64
    image_weights: str = "none"
    view_dim: int = 512
    code_dim: int = 256
    refined_dim: int = 256
    contrast_dim: int = 128
    share_autoencoder: bool = False
    fusion: Fusion = "mean"
    structure_input: Literal["others", "all"] = "others"
    neighbours: int = 10
    hypergraph: HypergraphForm = "symmetric"
    refined_dropout: float = 0.1
    anchors: int = 128
    anchor_temperature: float = 0.1

    def __post_init__(self) -> None:
        check_sizes(self)
        check_rates(self, "refined_dropout")
        if not self.anchor_temperature > 0:
            raise MoleblendError(f"--anchor-temperature {self.anchor_temperature:g}: give more than 0")
        if self.share_encoder and (self.graph_encoder, self.geometry_encoder) != ("transformer",) * 2:
            raise MoleblendError(
                "--share-encoder is for two Transformers: remove it, or --graph-encoder gin and "
                "--geometry-encoder schnet"
            )


STRUCTURE_PRESETS: Final[dict[str, tuple[ModelConfig, StructureConfig]]] = {
    "tiny": (
        PRESETS["moleblend_tiny"],
        StructureConfig(
            graph_layers=3,
            graph_dim=128,
            geometry_layers=3,
            geometry_dim=128,
            image_width=16,
            view_dim=128,
            code_dim=128,
            refined_dim=128,
            contrast_dim=64,
        ),
    ),
    "base": (PRESETS["moleblend_base"], StructureConfig()),
}
"""``moleblend_structure_aware_<name>``: the Transformer's sizes and the rest."""
