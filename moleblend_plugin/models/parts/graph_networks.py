"""Other backbones for MMSA-style (reconstructed) pretraining: GIN for the graph, SchNet for the geometry.

Both are dense and read our padded batch: molecules are small, and no further library is needed.

B molecules, N atoms (padded), R real atoms of the batch, D width, K Gaussian kernels.
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moleblend_plugin.models.parts.across_processes import Exchange
from moleblend_plugin.models.parts.atom_table import AtomTable
from moleblend_plugin.models.parts.batch_norm import SharedBatchNorm
from moleblend_plugin.models.parts.dropout import Dropout
from moleblend_plugin.schema import InputFields, Modality, ViewFields
from moleblend_plugin.vocab import ATOM_FEATURES, BOND, SPD

GraphFeatures = Literal["all", "basic"]
"""All of OGB's features of atoms and bonds; or atomic number, chirality and the type of bonds, which is what
the published rows of GINs see (Hu et al., ICLR 2020, who have a bond's direction besides)."""

BASIC_ATOMS: Final = 2
"""The first features of ``vocab.ATOM_FEATURES``: atomic number and chirality."""


def mean_atoms(x: Tensor, real: Tensor) -> Tensor:
    """Mean over real atoms [B, D] of [B, N, D]."""
    return torch.where(real[..., None], x, 0.0).sum(1) / real.sum(1, keepdim=True).clamp(min=1)


class GinLayer(nn.Module):
    """``x_i <- BN(MLP(x_i + e_self + sum_j (x_j + e_ij)))`` (Hu et al., ICLR 2020); bonds enter as counts."""

    def __init__(self, width: int, last: bool, exchange: Exchange, dropout: float) -> None:
        super().__init__()
        self.bonds = nn.Parameter(nn.init.xavier_uniform_(torch.empty(BOND.size, width)))  # 0: self loop
        self.grow = nn.Linear(width, 2 * width)
        self.shrink = nn.Linear(2 * width, width, bias=False)
        self.norm = SharedBatchNorm(width, exchange)
        self.dropout = Dropout(dropout)
        self.last = last

    def forward(self, x: Tensor, bonded: Tensor, counts: Tensor, real: Tensor) -> Tensor:
        """[B, N, D].

        Args:
            x: atom states [B, N, D].
            bonded: 1 where two atoms share a bond, [B, N, N].
            counts: bonds of each code at each atom [B, N, codes]; code 0 counts the self loop.
            real: bool [B, N].
        """
        message = x + bonded @ x + counts @ self.bonds
        rows = self.norm(self.shrink(F.relu(self.grow(message[real]))))  # [R, D]
        rows = self.dropout(rows if self.last else F.relu(rows))
        return torch.zeros_like(x).masked_scatter(real[..., None], rows.to(x.dtype))


def basic_bonds() -> list[int]:
    """By batch code of a bond, the code of a plain bond of its type; padding stays."""
    return [BOND.pad, *(BOND.encode(BOND.decode(code)[0], 0, 0) for code in range(1, BOND.size))]


class Gin(nn.Module):
    """Graph isomorphism network with bond embeddings; mean over atoms.

    Args:
        width: D.
        layers: how many.
        exchange: the network's, for batch statistics.
        dropout: after every layer.
        features: what of the codes it sees: all, or the basic ones (:data:`GraphFeatures`).
    """

    def __init__(
        self,
        width: int,
        layers: int,
        exchange: Exchange,
        dropout: float = 0.0,
        features: GraphFeatures = "all",
    ) -> None:
        super().__init__()
        self.outputs = width
        self.basic = features == "basic"
        self.register_buffer("_plain", torch.tensor(basic_bonds(), dtype=torch.uint8), persistent=False)
        self._plain: Tensor
        self.atoms = AtomTable(width)
        nn.init.xavier_uniform_(self.atoms.features.weight)  # as bonds: neither drowns the other
        with torch.no_grad():
            self.atoms.features.weight[0].zero_()  # padding
        self.layers = nn.ModuleList(
            GinLayer(width, n + 1 == layers, exchange, dropout) for n in range(layers)
        )

    def forward(self, inputs: InputFields[Tensor], views: ViewFields[Tensor]) -> Tensor:
        """[B, D] from rows of ``schema.INPUT_FIELDS`` and ``VIEW_FIELDS``; zeros where the view is absent."""
        atom_codes = inputs["atom_codes"]
        there = (views["modalities"] & int(Modality.GRAPH)).ne(0)
        real = (atom_codes[..., 0] > 0) & there[:, None]
        bonded = inputs["spd"].eq(SPD.encode(1)) & real[:, :, None] & real[:, None, :]
        code = torch.where(bonded, inputs["bond_path"][..., 0], 0).long()  # [B, N, N]
        if self.basic:
            atom_codes = F.pad(atom_codes[..., :BASIC_ATOMS], (0, len(ATOM_FEATURES) - BASIC_ATOMS))
            code = self._plain[code].long()
        dtype = self.atoms.features.weight.dtype
        counts = F.one_hot(code, BOND.size).sum(2).to(dtype)
        counts[..., 0] = 1  # what was no bond counts as the self loop, once
        x = self.atoms(atom_codes)
        for layer in self.layers:
            x = layer(x, bonded.to(x.dtype), counts, real)
        return mean_atoms(x, real)


class SchNetLayer(nn.Module):
    """Continuous-filter convolution (Schuett et al., NeurIPS 2017): neighbours weighed by their distance."""

    def __init__(self, width: int, filters: int, kernels: int) -> None:
        super().__init__()
        self.filter = nn.Sequential(nn.Linear(kernels, filters), nn.Softplus(), nn.Linear(filters, filters))
        self.inside = nn.Linear(width, filters, bias=False)
        self.outside = nn.Sequential(nn.Linear(filters, width), nn.Softplus(), nn.Linear(width, width))

    def forward(self, x: Tensor, kernels: Tensor, near: Tensor) -> Tensor:
        """[B, N, D] from states [B, N, D], distance kernels [B, N, N, K] and weights [B, N, N]."""
        weights = self.filter(kernels) * near[..., None]  # [B, N, N, filters]
        mixed = torch.einsum("bijf,bjf->bif", weights, self.inside(x))
        update: Tensor = self.outside(mixed)
        return x + update


class SchNet(nn.Module):
    """Invariant network on all distances up to ``cutoff``; mean over atoms.

    Args:
        width: D.
        layers: interactions.
        filters: width of the filters.
        kernels: K, spread evenly over 0..``cutoff``.
        cutoff: in Angstrom.
    """

    def __init__(
        self, width: int, layers: int, filters: int = 128, kernels: int = 51, cutoff: float = 10.0
    ) -> None:
        super().__init__()
        self.outputs = width
        self.cutoff = cutoff
        self.atoms = AtomTable(width)
        self.layers = nn.ModuleList(SchNetLayer(width, filters, kernels) for _ in range(layers))
        self.register_buffer("_centres", torch.linspace(0, cutoff, kernels), persistent=False)
        self._centres: Tensor

    def forward(self, inputs: InputFields[Tensor], views: ViewFields[Tensor]) -> Tensor:
        """[B, D] from rows of ``schema.INPUT_FIELDS``; molecules without 3D get what nobody reads."""
        atom_codes, coords = inputs["atom_codes"], inputs["coords"]
        real = atom_codes[..., 0] > 0
        dtype = self.atoms.features.weight.dtype
        with torch.autocast(coords.device.type, enabled=False):
            place, centres = coords.float(), self._centres.float()
            distance = (place[:, None] - place[:, :, None]).norm(dim=-1)
            spacing = self.cutoff / (len(centres) - 1)
            kernels = torch.exp(-0.5 * ((distance[..., None] - centres) / spacing).square())
            near = 0.5 * (torch.cos(distance.clamp(max=self.cutoff) * torch.pi / self.cutoff) + 1)
            pairs = real[:, :, None] & real[:, None, :]
            pairs = pairs & ~torch.eye(pairs.shape[-1], dtype=torch.bool, device=pairs.device)
            near = torch.where(pairs, near, 0.0)
        x = self.atoms(atom_codes)
        for layer in self.layers:
            x = layer(x, kernels.to(dtype), near.to(dtype))
        return mean_atoms(x, real)
