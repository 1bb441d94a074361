"""Heads: what is predicted for every pair, every atom and the whole molecule (method 4).

B molecules, N atoms, T = N + 1 tokens, H heads, D width, C outputs per pair.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moleblend_plugin.models.blend.config import DenoiseForm
from moleblend_plugin.models.parts.dropout import Dropout
from moleblend_plugin.models.parts.products import Linear, linear, shifted_product

Readout = Literal["cls", "mean", "sum", "attention"]


class BilinearPairs(nn.Module):
    """C outputs per ordered pair: a linear map of ``row_i (x) col_j``, which is never stored.

    ``row = LN(gelu(A x))`` and ``col = LN(gelu(B x))``, ``hidden`` wide each. One side is contracted with
    the weights first: the same numbers, ``hidden`` times fewer multiplications.
    """

    def __init__(self, width: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.row = Linear(width, hidden)
        self.col = Linear(width, hidden)
        self.row_norm = nn.LayerNorm(hidden, eps=1e-12)
        self.col_norm = nn.LayerNorm(hidden, eps=1e-12)
        self.linear = nn.Linear(hidden * hidden, outputs)

    def weight_and_bias(self) -> tuple[Tensor, Tensor]:
        """[C, hidden * hidden] and [C]; the outer product runs row-major."""
        return self.linear.weight, self.linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, N, C] from atom states [B, N, D]."""
        row = self.row_norm(F.gelu(self.row(x)))
        col = self.col_norm(F.gelu(self.col(x)))
        weight, bias = self.weight_and_bias()
        batch, atoms, hidden = row.shape  # the batch may be empty
        outputs = len(weight)
        contracted = linear(col, weight.view(-1, hidden).to(col.dtype))  # [B, N, C * hidden]
        contracted = contracted.view(batch, atoms * outputs, hidden)  # [B, N * C, hidden]
        pairs = shifted_product(bias, row, contracted)  # [B, N, N * C]
        return pairs.view(batch, atoms, atoms, outputs)  # the losses read along C


class DirectionPairs(BilinearPairs):
    """The published direction head: 1024 -> 256 -> 3 without a non-linearity, folded to 1024 -> 3.

    Its inputs are distances, so it cannot turn with the molecule (method 6.5): for parity and for loading
    published checkpoints only.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(width, hidden, outputs=256)
        self.axes = nn.Linear(256, 3)

    def weight_and_bias(self) -> tuple[Tensor, Tensor]:
        """The folded map: [3, hidden * hidden] and [3]."""
        weight = self.axes.weight @ self.linear.weight
        return weight, self.axes.weight @ self.linear.bias + self.axes.bias


class DistancePairs(BilinearPairs):
    """Distance classes per pair, symmetric in (i, j) by construction (method 4a)."""

    def weight_and_bias(self) -> tuple[Tensor, Tensor]:
        """Half of them: the mean of both orders is then a sum."""
        weight, bias = super().weight_and_bias()
        return 0.5 * weight, 0.5 * bias

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, N, bins]."""
        pairs = super().forward(x)
        return pairs + pairs.transpose(1, 2)


class DenoiseHead(nn.Module):
    """Predicts the coordinate noise: attention over atoms, weighted by unit vectors between them.

    Per axis c: ``sum_j attn_ij u_ij[c] v_j`` with ``u_ij = (x_j - x_i) / (d_ij + 1e-5)``, heads joined, then
    one linear D -> 1. The published form has a projection per axis; the equivariant form shares one and
    has no bias, so that the output turns with the molecule. The projection is applied to ``v_j`` first,
    which gives the same sums without a tensor [B, N, 3, D].
    """

    def __init__(self, width: int, heads: int, dropout: float, form: DenoiseForm) -> None:
        super().__init__()
        self.heads = heads
        self.axes = 1 if form == "equivariant" else 3
        self.q = Linear(width, width)
        self.k = Linear(width, width)
        self.v = Linear(width, width)
        self.dropout = Dropout(dropout)
        self.project = nn.Linear(width, self.axes, bias=form == "published")

    def forward(self, x: Tensor, bias: Tensor, unit: Tensor) -> Tensor:
        """Noise fp32 [B, N, 3].

        Args:
            x: atom states [B, N, D].
            bias: [B, H, N, N], -inf at padded keys.
            unit: fp32 [B, N, N, 3].
        """
        batch, atoms, width = x.shape
        head_dim = width // self.heads

        def by_head(linear: nn.Linear) -> Tensor:
            return linear(x).view(batch, atoms, self.heads, head_dim).transpose(1, 2)  # type: ignore[no-any-return]

        q, k, v = by_head(self.q), by_head(self.k), by_head(self.v)
        logits = (q * head_dim**-0.5) @ k.transpose(2, 3) + bias.to(q.dtype)
        attention = self.dropout(torch.softmax(logits.float(), dim=-1))  # [B, H, N, N]
        projection = self.project.weight.view(self.axes, self.heads, head_dim).to(v.dtype)
        value = torch.einsum("bhjd,ahd->bhja", v, projection).float()  # [B, H, N, axes]
        with torch.autocast(x.device.type, enabled=False):
            pull = torch.einsum("bhij,bhja->bija", attention, value)  # [B, N, N, axes]
            noise = (pull * unit).sum(2)  # [B, N, 3]; one axis broadcasts over the three
        return noise if self.project.bias is None else noise + self.project.bias.float()


class MoleculeHead(nn.Module):
    """Descriptors or ECFP of a molecule, from its graph token and the mean of its atoms' states (ours).

    Both are read so that either serves as the molecule's vector afterwards.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(2 * width, 2 * width)
        self.out = nn.Linear(2 * width, outputs)

    def forward(self, states: Tensor, real: Tensor) -> Tensor:
        """[B, outputs] from states [B, T, D] and the real atoms bool [B, N]."""
        atoms = torch.where(real[..., None], states[:, 1:], 0.0).sum(1) / real.sum(1, keepdim=True)
        out: Tensor = self.out(F.gelu(self.dense(torch.cat((states[:, 0], atoms), dim=-1))))
        return out


class PropertyHead(nn.Module):
    """Molecule outputs: dropout, linear, gelu, dropout, linear, and a readout (method 5).

    "cls" reads the graph token. "sum" and "mean" apply the head to every atom and pool its outputs, so a
    molecule's value is made of atomic ones; "mean" divides by the real atoms, not by the padded length.
    "attention" applies the head to the mean of the atoms' states under weights that a linear map of each
    state gives (softmax over real atoms).

    With F numbers of the molecule beside its atoms, "cls" and "attention" read both, joined, through the
    first linear map. "sum" and "mean" have no state of the molecule to join them with: there the outputs of
    another such head, on the atoms' mean state joined with the numbers, are added.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        readout: Readout = "cls",
        dropout: float = 0.0,
        inputs: int = 0,
    ) -> None:
        super().__init__()
        self.readout = readout
        of_atoms = readout in ("mean", "sum")
        self.dropout = Dropout(dropout)
        self.dense = nn.Linear(width if of_atoms else width + inputs, width)
        self.out = nn.Linear(width, outputs)
        self.weigh = nn.Linear(width, 1, bias=False) if readout == "attention" else None
        self.joined = PropertyHead(width, outputs, "cls", dropout, inputs) if of_atoms and inputs else None

    def forward(self, states: Tensor, real: Tensor, inputs: Tensor | None = None) -> Tensor:
        """[B, outputs] from states [B, T, D], the real atoms bool [B, N] and maybe numbers [B, F]."""
        if self.readout == "cls":
            return self._outputs(_join(states[:, 0], inputs))
        if self.weigh is not None:
            return self._outputs(_join(self._pooled(states[:, 1:], real, self.weigh), inputs))
        total = torch.where(real[..., None], self._outputs(states[:, 1:]), 0.0).sum(1)
        outputs = total if self.readout == "sum" else total / real.sum(1, keepdim=True)
        if self.joined is None:
            return outputs
        mean = torch.where(real[..., None], states[:, 1:], 0.0).sum(1) / real.sum(1, keepdim=True)
        joined: Tensor = self.joined(mean[:, None], real, inputs)
        return outputs + joined

    def _outputs(self, read: Tensor) -> Tensor:
        out: Tensor = self.out(self.dropout(F.gelu(self.dense(self.dropout(read)))))
        return out

    @staticmethod
    def _pooled(atoms: Tensor, real: Tensor, weigh: nn.Linear) -> Tensor:
        logits = weigh(atoms)[..., 0].float().masked_fill(~real, -torch.inf)
        weights = torch.softmax(logits, dim=1).to(atoms.dtype)  # [B, N]
        return (weights[:, None] @ atoms)[:, 0]


def _join(state: Tensor, inputs: Tensor | None) -> Tensor:
    """[B, D + F]."""
    return state if inputs is None else torch.cat((state, inputs.to(state.dtype)), dim=-1)
