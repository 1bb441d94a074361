"""Where everything is in a batch without padding, and its work on several threads.

The tokens of all molecules lie one after another, the atoms of a molecule before its graph token.

B molecules, N atoms (padded), A atoms and A + B tokens of all molecules, S rows of tokens, P ordered pairs of
atoms of all molecules, H heads, D width, U rows of a table of biases. S is A + B, or a little more where
``parts.products`` wants it: the last rows are then no molecule's, and nothing follows from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from moleblend_plugin.models.parts.products import rounded_up
from moleblend_plugin.schema import Array
from moleblend_plugin.simd.threads import run_parts

_WORTH = 1 << 16
"""Pairs from which on several threads share the work."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the atoms, tokens and pairs of a batch are.

    Attributes:
        real: bool [B, N].
        atoms: int64 [A], places of atoms in [B * N].
        molecules: int64 [S], the molecule of every token; of rows that are no token, the last.
        atom_tokens: int64 [A], the token of every atom.
        graph_tokens: int64 [B], the graph token of every molecule.
        padded: int64 [A + B], places of tokens in [B * (N + 1)], where the graph token comes first.
        atom_starts: int64 [B + 1], first atom of every molecule.
        token_starts: int64 [B + 1], first token.
        pair_starts: int64 [B + 1], first pair.
    """

    real: Tensor
    atoms: Tensor
    molecules: Tensor
    atom_tokens: Tensor
    graph_tokens: Tensor
    padded: Tensor
    atom_starts: Tensor
    token_starts: Tensor
    pair_starts: Tensor

    @classmethod
    def of(cls, real: Tensor) -> Places:
        """Those of the ``real`` atoms, bool [B, N], wherever padding is."""
        batch, length = real.shape
        counts = real.sum(1)
        molecule, atom = real.nonzero().unbind(1)

        def starts(each: Tensor) -> Tensor:
            return torch.nn.functional.pad(each.cumsum(0), (1, 0))

        atom_starts, number = starts(counts), torch.arange(batch)
        atom_tokens, graph_tokens = torch.arange(len(atom)) + molecule, atom_starts[1:] + number
        tokens = len(atom) + batch
        padded = torch.empty(tokens, dtype=torch.int64)
        molecules = torch.full((rounded_up(tokens),), max(batch - 1, 0))
        molecules[atom_tokens], molecules[graph_tokens] = molecule, number
        padded[atom_tokens], padded[graph_tokens] = molecule * (length + 1) + atom + 1, number * (length + 1)
        return cls(
            real=real,
            atoms=molecule * length + atom,
            molecules=molecules,
            atom_tokens=atom_tokens,
            graph_tokens=graph_tokens,
            padded=padded,
            atom_starts=atom_starts,
            token_starts=starts(counts + 1),
            pair_starts=starts(counts.square()),
        )

    @property
    def pairs(self) -> int:
        """P."""
        return int(self.pair_starts[-1])

    def range_of_tokens(self, first: int, last: int) -> tuple[int, int]:
        """First row of molecule ``first``, and that after the molecules before ``last``."""
        is_end = first < last == len(self.real)
        return int(self.token_starts[first]), len(self.molecules) if is_end else int(self.token_starts[last])

    def of_atoms(self, values: Tensor) -> Tensor:
        """[A, ...] from [B, N, ...]."""
        return values.flatten(0, 1)[self.atoms]

    def of_pairs(self, values: Tensor) -> Tensor:
        """[P, ...] from [B, N, N, ...]."""
        both = self.real[:, :, None] & self.real[:, None, :]
        return values[both]

    def tokens(self, atoms: Tensor, graph: Tensor) -> Tensor:
        """[S, D] from vectors of atoms [A, D] and that of every graph token [D]."""
        x = graph.to(atoms.dtype).expand(len(self.molecules), -1)
        return x.index_copy(0, self.atom_tokens, atoms)

    def unpacked(self, tokens: Tensor) -> Tensor:
        """[B, N + 1, D] from [S, D], the graph token first, 0 where there is padding."""
        batch, length = self.real.shape
        states = tokens.new_zeros(batch * (length + 1), tokens.shape[-1])
        return states.index_copy(0, self.padded, tokens[: len(self.padded)]).view(batch, length + 1, -1)


class PackedBias(NamedTuple):
    """What is added to the logits of pairs, once for all layers."""

    places: Places
    codes: Tensor  # int32 [P], rows of the table
    table: Tensor  # fp32 [H, U]
    dense: Tensor | None  # fp32 [H, P], of every pair; None where the table has all
    graph: Tensor  # fp32 [H], of pairs with the graph token

    def of_pairs(self) -> Tensor:
        """fp32 [H, P]."""
        return self.table[:, self.codes.long()] if self.dense is None else self.dense

    def unpacked(self) -> Tensor:
        """[B, H, N, N], -inf where a key is padding and 0 elsewhere where a query is."""
        real = self.places.real
        batch, length = real.shape
        both = (real[:, :, None] & real[:, None, :]).flatten().nonzero()[:, 0]
        pairs = self.of_pairs()
        bias = pairs.new_zeros(len(pairs), batch * length * length).index_copy(1, both, pairs)
        bias = bias.view(-1, batch, length, length).transpose(0, 1)
        return bias.masked_fill(~real[:, None, None, :], -torch.inf)


def as_array(tensor: Tensor) -> Array:
    """The same numbers."""
    return tensor.detach().numpy()


def share_out(places: Places, work: Callable[[int, int, int], None]) -> None:
    """Call ``work(part, first, last)`` for ranges of molecules, one for each of torch's threads."""
    batch, threads = len(places.real), torch.get_num_threads()
    if threads == 1 or places.pairs < _WORTH or batch == 1:
        run_parts((0, batch), work)
        return
    edges = np.searchsorted(as_array(places.pair_starts), np.arange(1, threads) * places.pairs / threads)
    run_parts([0, *np.clip(edges, 0, batch).tolist(), batch], work)
