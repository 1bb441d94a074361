"""MMSA-style (reconstructed) pretraining: views of a molecule, unified, then compared between molecules.

B molecules of this process, A of the batch of all processes, V views; the alphabet of ``fusion`` and
``hypergraph``. What the paper states and what is reconstructed: ``docs/structure_aware.md``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moleblend_plugin.models.parts.across_processes import Exchange
from moleblend_plugin.models.structure.config import StructureConfig
from moleblend_plugin.models.structure.fusion import FUSIONS, AutoEncoders, ViewHeads, in_fp32, mlp
from moleblend_plugin.models.structure.hypergraph import HypergraphConv, Memory, incidence
from moleblend_plugin.schema import VIEWS, StructureOutput, ViewFields


class StructureAwareness(nn.Module):
    """Everything above the views' encoders.

    Args:
        config: sizes and choices.
        views: names, the first is 2d.
        widths: of the encoders' features, [V].
        exchange: the network's.
    """

    def __init__(
        self, config: StructureConfig, views: Sequence[str], widths: Sequence[int], exchange: Exchange
    ) -> None:
        super().__init__()
        code, refined, compared = config.code_dim, config.refined_dim, config.contrast_dim
        self.config = config
        self.exchange = exchange
        self.heads = ViewHeads(widths, config.view_dim)
        self.autoencoders = AutoEncoders(len(views), config.view_dim, code, config.share_autoencoder)
        self.compare = nn.ModuleList(mlp(code, code, compared) for _ in views)
        self.fusion = FUSIONS[config.fusion](len(views), code)
        self.convolution = HypergraphConv(code, refined, config.hypergraph, config.refined_dropout)
        self.memory = Memory(config.anchors, refined, config.anchor_temperature)
        self.compare_refined = mlp(refined, refined, compared)  # one for g and r
        self.target = nn.Sequential(nn.LayerNorm(widths[0]), mlp(widths[0], refined, compared))
        self.register_buffer("_bits", torch.tensor([int(VIEWS[name]) for name in views]), persistent=False)
        self._bits: Tensor

    def forward(self, features: Sequence[Tensor], views: ViewFields[Tensor]) -> StructureOutput:
        """Embeddings and what is compared.

        Args:
            features: outputs h of the views' encoders, V tensors [B, width].
            views: rows of ``schema.VIEW_FIELDS``.
        """
        gather = self.exchange.gather
        masks = torch.stack((views["modalities"], views["fused"]), dim=1).long()
        masks = gather(torch.cat((masks, views["cross_from"].long()), dim=1))
        present, fused = ((masks[:, place, None] & self._bits).ne(0) for place in (0, 1))  # [A, V]
        source = masks[:, 2:]
        x = gather(self.heads(features))
        target = gather(in_fp32(self.target, features[0]))
        codes = self.autoencoders.encode(x)
        others = codes.gather(1, source[..., None].expand_as(codes))
        own = torch.arange(len(self._bits), device=source.device)
        unified = self.fusion(codes, fused)
        seen = fused if self.config.structure_input == "all" else self._without_first(fused)
        vertices = seen.any(1)
        structure = self._structure(self.fusion(codes, seen)[vertices])
        return StructureOutput(
            features=x,
            codes=codes,
            rebuilt=self.autoencoders.decode(codes),
            crossed=self.autoencoders.decode(others),
            compared=torch.stack([in_fp32(head, codes[:, v]) for v, head in enumerate(self.compare)], dim=1),
            present=present,
            has_cross=present & source.ne(own),
            unified=unified,
            vertices=vertices,
            target=target[vertices],
            **structure,
        )

    @staticmethod
    def _without_first(views: Tensor) -> Tensor:
        return torch.cat((torch.zeros_like(views[:, :1]), views[:, 1:]), dim=1)

    def _structure(self, embedding: Tensor) -> dict[str, Tensor]:
        """Module B on the molecules that take part, [vertices, c]."""
        members = incidence(embedding, self.config.neighbours)
        refined = self.convolution(embedding, members)
        weights, read = self.memory(refined)
        return {
            "members": members,
            "refined": refined,
            "weights": weights,
            "read": read,
            "refined_compared": in_fp32(self.compare_refined, refined),
            "read_compared": in_fp32(self.compare_refined, read),
        }
