"""The Transformer encoder: post-LN layers whose attention takes one bias per head and pair.

B molecules, N atoms, T = N + 1 tokens (graph token first), H heads, D width; without padding A atoms and
S tokens of all molecules (``models.packed``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from moleblend_plugin.models.parts import kernels
from moleblend_plugin.models.parts.atom_table import AtomTable
from moleblend_plugin.models.parts.dropout import Dropout, DropPath
from moleblend_plugin.models.parts.products import Linear
from moleblend_plugin.schema import Shown
from moleblend_plugin.vocab import DEGREE

if TYPE_CHECKING:
    from moleblend_plugin.models.packed.places import PackedBias, Places


class AtomEmbedding(AtomTable):
    """Sum of nine feature embeddings per atom, blended with degree or 3D summary (method 3)."""

    SUMMARY_SCALE = 0.01

    def __init__(self, width: int, kernels: int) -> None:
        super().__init__(width)
        self.in_degree = nn.Embedding(DEGREE.size, width, padding_idx=DEGREE.pad)
        self.out_degree = nn.Embedding(DEGREE.size, width, padding_idx=DEGREE.pad)
        self.summary = nn.Linear(kernels, width)

    def degree_feature(self, degree: Tensor) -> Tensor:
        """[B, N, D] from degree codes uint8 [B, N]; bonds are undirected, so in- and out-degree agree."""
        code = degree.int()
        feature: Tensor = self.in_degree(code) + self.out_degree(code)
        return feature

    def summary_3d(self, gaussians: Tensor, real: Tensor) -> Tensor:
        """[B, N, D]: Gaussian features summed over real atoms (bool ``real`` [B, N]), the atom included."""
        total = (gaussians * real[:, None, :, None]).sum(2)  # [B, N, K]
        summary: Tensor = self.SUMMARY_SCALE * self.summary(total.to(self.summary.weight.dtype))
        return summary

    def forward(  # type: ignore[override]
        self, atom_codes: Tensor, degree: Tensor, gaussians: Tensor, atom_shown: Tensor
    ) -> Tensor:
        """[B, N, D]."""
        real = atom_codes[..., 0] > 0
        x, summary = self.of_codes(atom_codes, degree, atom_shown), self.summary_3d(gaussians, real)
        return x + torch.where((atom_shown[..., None] & int(Shown.DISTANCE)).ne(0), summary, 0.0)

    def of_codes(self, atom_codes: Tensor, degree: Tensor, atom_shown: Tensor) -> Tensor:
        """[..., D] of all but 3D."""
        x = super().forward(atom_codes)
        shows_degree = (atom_shown[..., None] & int(Shown.SPD)).ne(0)
        return x + torch.where(shows_degree, self.degree_feature(degree), 0.0)

    def packed(
        self, atom_codes: Tensor, degree: Tensor, atom_shown: Tensor, sums: Tensor | None, gaussians: Tensor
    ) -> Tensor:
        """[A, D] without padding; equal atoms are looked up once.

        Args:
            atom_codes: uint8 [A, 9].
            degree: uint8 [A].
            atom_shown: uint8 [A].
            sums: Gaussian features summed over an atom's molecule, [A, K]; ``None`` where no atom shows them.
            gaussians: then those of one pair, [1, 1, 1, K]: weights have a gradient all the same, of 0.
        """
        rows = torch.cat((atom_codes, degree[:, None], atom_shown[:, None]), 1).contiguous()
        whole = rows.numpy().view(f"V{rows.shape[1]}")[:, 0]
        _, first, which = np.unique(whole, return_index=True, return_inverse=True)
        few = rows[torch.from_numpy(first)]
        x = self.of_codes(few[:, :-2][None], few[:, -2][None], few[:, -1][None])[0]
        x = F.embedding(torch.from_numpy(which), x)
        if sums is None:
            none = torch.zeros(1, 1, dtype=torch.bool)
            return x + torch.where(none, self.summary_3d(gaussians, none.new_ones(1, 1))[0], 0.0)
        summary = self.SUMMARY_SCALE * self.summary(sums.to(self.summary.weight.dtype))
        return x + torch.where((atom_shown[:, None] & int(Shown.DISTANCE)).ne(0), summary, 0.0)


class Attention(nn.Module):
    """Multi-head attention with a bias [B, H, T, T] on its logits; scaled by d ** -0.5."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor | PackedBias) -> Tensor:
        """[B, T, D], or [S, D] without padding."""
        dropout = self.dropout if self.training else 0.0
        out: Tensor = self.out(kernels.attention(self.qkv(x), bias, self.heads, dropout))
        return out

    def of_graph_token(self, x: Tensor, real: Tensor) -> Tensor:
        """What the graph token takes up, [B, D] of [B, T, D] without dropout; ``real`` atoms are bool [B, N].

        All its pairs have one bias, which a softmax does not see. Keys and values of atoms are not made: the
        query goes through the map of keys, and the mean of states through that of values.
        """
        width = x.shape[-1]
        by_head = (self.heads, width // self.heads, width)
        of_query, of_key, of_value = self.qkv.weight.chunk(3)
        by_query, _, by_value = self.qkv.bias.chunk(3)
        query = F.linear(x[:, 0], of_query, by_query).view(-1, *by_head[:2])  # [B, H, d]
        asked = torch.einsum("bhd,hdw->bhw", query * by_head[1] ** -0.5, of_key.view(by_head))
        logits = (asked @ x.transpose(1, 2)).masked_fill(
            ~F.pad(real, (1, 0), value=True)[:, None], -torch.inf
        )
        mean = torch.softmax(logits, -1) @ x  # [B, H, D]
        value = torch.einsum("bhw,hdw->bhd", mean, of_value.view(by_head)).flatten(1)
        out: Tensor = self.out(value + by_value)
        return out


class EncoderLayer(nn.Module):
    """``x = LN(x + attn(x)); x = LN(x + W2 gelu(W1 x))`` with dropout and stochastic depth on branches."""

    def __init__(
        self,
        attention: nn.Module,
        width: int,
        hidden: int,
        dropout: float,
        activation_dropout: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = nn.LayerNorm(width)
        self.ffn_in = Linear(width, hidden)
        self.ffn_out = Linear(hidden, width)
        self.ffn_norm = nn.LayerNorm(width)
        self.activation_dropout = Dropout(activation_dropout)
        self.dropout = Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, bias: Tensor | PackedBias) -> Tensor:
        """[B, T, D] -> [B, T, D], or [S, D] -> [S, D] without padding."""
        return self._after(x, self.attention(x, bias), None if isinstance(bias, Tensor) else bias.places)

    def of_graph_token(self, x: Tensor, real: Tensor) -> Tensor:
        """That of the graph token alone, [B, D] of [B, T, D], in evaluation mode."""
        assert isinstance(self.attention, Attention)
        return self._after(x[:, 0], self.attention.of_graph_token(x, real), None)

    def _after(self, x: Tensor, branch: Tensor, places: Places | None) -> Tensor:
        """What becomes of states and what attention gives for them."""
        x = self._joined(x, branch, self.attention_norm, places)
        branch = kernels.gelu_linear(self.ffn_in(x), self.ffn_out, self.activation_dropout.rate, places)
        return self._joined(x, branch, self.ffn_norm, places)

    def _joined(self, x: Tensor, branch: Tensor, norm: nn.LayerNorm, places: Places | None) -> Tensor:
        rate = self.dropout.rate
        if self.drop_path.rate:
            molecules = None if places is None else places.molecules
            branch, rate = self.drop_path(self.dropout(branch), molecules), 0.0
        return kernels.add_and_norm(x, branch, norm, rate, places)


class Encoder(nn.Module):
    """Graph token, embedding norm and layers.

    Args:
        layers: built as they are taken, after the token: a seed gives the same weights as ever.
        width: D.
        heads: H.
        dropout: on the input of the first layer.
        checkpoint_activations: keep the input of each layer only.
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        width: int,
        heads: int,
        dropout: float = 0.0,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        self.graph_token = nn.Parameter(torch.empty(width).normal_(std=0.02))
        self.graph_bias = nn.Parameter(torch.empty(heads).normal_(std=0.02))
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(layers)
        self.checkpoint_activations = checkpoint_activations

    def token_bias(self, pair_bias: Tensor) -> Tensor:
        """Bias [B, H, T, T] from pairs [B, H, N, N]: the graph token's row and column are put in front.

        Columns of padded keys are -inf for atoms; for the graph token's row they are made so here.
        """
        padded = torch.isinf(pair_bias[:, :, :1])  # [B, H, 1, N]: -inf columns are the same for every row
        bias = F.pad(pair_bias, (1, 0, 1, 0))
        edge = torch.zeros(bias.shape[-2:], dtype=bias.dtype, device=bias.device)
        edge[0, :] = edge[:, 0] = 1  # (0, 0) once
        bias = bias + edge * self.graph_bias[:, None, None].to(bias.dtype)
        return bias.masked_fill(F.pad(padded, (1, 0)), -torch.inf)

    def embed(self, atoms: Tensor) -> Tensor:
        """Input of the first layer [B, T, D] from atom embeddings [B, N, D]."""
        graph = self.graph_token.expand(atoms.shape[0], 1, -1).to(atoms.dtype)
        x: Tensor = self.dropout(self.norm(torch.cat((graph, atoms), dim=1)))
        return x

    def embed_packed(self, atoms: Tensor, places: Places) -> Tensor:
        """The same without padding: [S, D] from [A, D]."""
        x: Tensor = self.dropout(self.norm(places.tokens(atoms, self.graph_token)))
        return x

    def graph_state(self, x: Tensor, bias: Tensor | PackedBias, real: Tensor) -> Tensor:
        """State of the graph token after the last layer, [B, 1, D], for prediction; ``real`` is bool [B, N].

        Of the last layer no more is computed than it needs, which is next to nothing.
        """
        *lower, last = self.layers
        assert isinstance(last, EncoderLayer)
        for layer in lower:
            x = layer(x, bias)
        if not isinstance(bias, Tensor):
            x = bias.places.unpacked(x)
        state: Tensor = last.of_graph_token(x, real)
        return state[:, None]

    def forward(self, x: Tensor, bias: Tensor | PackedBias) -> Tensor:
        """[B, T, D] -> [B, T, D], [S, D] -> [S, D]; one bias [B, H, T, T] serves every layer."""
        again = self.checkpoint_activations and torch.is_grad_enabled()
        for layer in self.layers:
            x = checkpoint(layer, x, bias, use_reentrant=False) if again else layer(x, bias)
        return x
