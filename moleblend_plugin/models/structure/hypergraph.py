"""Module B of MMSA-style (reconstructed) pretraining: a hypergraph of molecules, and a memory of anchors.

Equations: docs/structure_aware.md, "The objective". A molecules of the joined batch that take part, E = A
hyperedges (one per molecule), k members, K anchors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moleblend_plugin.models.parts.across_processes import Exchange
from moleblend_plugin.models.parts.batch_norm import SharedBatchNorm
from moleblend_plugin.models.structure.config import HypergraphForm
from moleblend_plugin.models.structure.fusion import in_fp32


@torch.no_grad()
def incidence(embedding: Tensor, neighbours: int) -> Tensor:
    """H fp32 [A, E]: ``H[v, e] = 1`` where v is molecule e or one of its nearest k - 1 (module B).

    Distances are Euclidean between normalised rows, so that their order is that of cosines.

    Args:
        embedding: [A, c].
        neighbours: k, itself included; no more than A count.
    """
    unit = F.normalize(embedding.float(), dim=1)
    distance = torch.cdist(unit, unit)
    distance.fill_diagonal_(-1)  # rounding or a twin must not displace the molecule itself
    members = distance.topk(min(neighbours, len(unit)), largest=False).indices  # [E, k]
    return torch.zeros_like(distance).scatter_(1, members, 1.0).T


def propagation(members: Tensor, form: HypergraphForm) -> Tensor:
    """G [A, A] of an incidence H [A, E] with unit edge weights.

    "symmetric" is ``Dv^-1/2 H De^-1 H^T Dv^-1/2`` (HGNN), "random_walk" ``Dv^-1 H De^-1 H^T`` (HGM2R).
    """
    of_vertex, of_edge = members.sum(1), members.sum(0)  # both 1 or more
    between = (members / of_edge) @ members.T
    if form == "random_walk":
        return between / of_vertex[:, None]
    root = of_vertex.rsqrt()
    return root[:, None] * between * root


class HypergraphConv(nn.Module):
    """``g = G . dropout(relu(BN(u Theta)))``: one layer (module B).

    Args:
        inputs: width of u.
        outputs: width of g.
        form: normalisation of the hypergraph.
        dropout: before messages are sent.
    """

    def __init__(self, inputs: int, outputs: int, form: HypergraphForm, dropout: float) -> None:
        super().__init__()
        self.theta = nn.Linear(inputs, outputs, bias=False)
        self.norm = SharedBatchNorm(outputs, Exchange())  # it sees the joined batch: nothing to exchange
        self.dropout = nn.Dropout(dropout)
        self.form: HypergraphForm = form

    def forward(self, embedding: Tensor, members: Tensor) -> Tensor:
        """g fp32 [A, g] from u [A, c] and the incidence [A, E]."""
        rows = in_fp32(self.norm, in_fp32(self.theta, embedding))
        refined: Tensor = propagation(members, self.form) @ self.dropout(F.relu(rows))
        return refined


class Memory(nn.Module):
    """Anchors, ordinary weights, read by attention: ``s = softmax(cos(g, M) / tau)``, ``r = s M`` (module B).

    Args:
        anchors: K.
        width: of g and of the anchors.
        temperature: tau.
    """

    def __init__(self, anchors: int, width: int, temperature: float) -> None:
        super().__init__()
        self.anchors = nn.Parameter(torch.empty(anchors, width).normal_(std=width**-0.5))
        self.temperature = temperature

    def forward(self, refined: Tensor) -> tuple[Tensor, Tensor]:
        """Weights s fp32 [A, K] and reads r fp32 [A, g] of g [A, g]."""
        with torch.autocast(refined.device.type, enabled=False):
            anchors = self.anchors.float()
            cosine = F.normalize(refined.float(), dim=1) @ F.normalize(anchors, dim=1).T
            weights = (cosine / self.temperature).softmax(1)
            return weights, weights @ anchors
