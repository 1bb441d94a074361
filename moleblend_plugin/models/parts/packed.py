"""A batch without padding, for a CPU: where everything is, and functions with gradients of their own.

Of a batch of molecules of 20 to 40 atoms a third of all pairs is padding, of one with a single large molecule
nearly all. Here the tokens of all molecules lie one after another, the atoms of a molecule before its graph token.

B molecules, N atoms (padded), A atoms and S = A + B tokens of all molecules, P ordered pairs of atoms of all
molecules, H heads, D width, K Gaussian kernels, U rows of a table of biases.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from moleblend_plugin.compiled_math import LANES
from moleblend_plugin.models.parts import packed_attention, packed_codes, packed_distances

_WORTH = 1 << 16
"""Pairs from which on several threads share the work."""

_DRAWS = 1 << 32


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the atoms, tokens and pairs of a batch are.

    Attributes:
        real: bool [B, N].
        atoms: int64 [A], places of atoms in [B * N].
        molecules: int64 [S], the molecule of every token.
        atom_tokens: int64 [A], the token of every atom.
        graph_tokens: int64 [B], the graph token of every molecule.
        padded: int64 [S], places of tokens in [B * (N + 1)], where the graph token comes first.
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
        molecules, padded = (torch.empty(len(atom) + batch, dtype=torch.int64) for _ in range(2))
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

    def of_atoms(self, values: Tensor) -> Tensor:
        """[A, ...] from [B, N, ...]."""
        return values.flatten(0, 1)[self.atoms]

    def of_pairs(self, values: Tensor) -> Tensor:
        """[P, ...] from [B, N, N, ...]."""
        both = self.real[:, :, None] & self.real[:, None, :]
        return values[both]

    def tokens(self, atoms: Tensor, graph: Tensor) -> Tensor:
        """[S, D] from vectors of atoms [A, D] and that of every graph token [D]."""
        x = graph.to(atoms.dtype).expand(len(self.padded), -1)
        return x.index_copy(0, self.atom_tokens, atoms)

    def unpacked(self, tokens: Tensor) -> Tensor:
        """[B, N + 1, D] from [S, D], the graph token first, 0 where there is padding."""
        batch, length = self.real.shape
        states = tokens.new_zeros(batch * (length + 1), tokens.shape[-1])
        return states.index_copy(0, self.padded, tokens).view(batch, length + 1, -1)


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


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().numpy()


def _shared(places: Places, work: Callable[[int, int, int], None]) -> None:
    """Call ``work(part, first, last)`` for ranges of molecules, one for each of torch's threads."""
    batch, threads = len(places.real), torch.get_num_threads()
    if threads == 1 or places.pairs < _WORTH or batch == 1:
        work(0, 0, batch)
        return
    edges = np.searchsorted(_array(places.pair_starts), np.arange(1, threads) * places.pairs / threads)
    ends = [0, *np.clip(edges, 0, batch).tolist(), batch]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, part, ends[part], ends[part + 1]) for part in range(threads)]:
            done.result()


def number_pairs(places: Places, spd: Tensor, bond_path: Tensor, shown: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Codes int32 [P] of pairs, and a place in [B * N * N] for each of the U; see ``packed_codes``."""
    codes, examples = torch.empty(places.pairs, dtype=torch.int32), torch.empty(places.pairs, dtype=torch.int64)
    inside = places.atoms % places.real.shape[1]
    given = [_array(part.contiguous()) for part in (spd, bond_path, shown)]
    arrays = [_array(part) for part in (inside, places.atom_starts, codes, examples)]
    found = packed_codes.number_pairs(*given, bits, *arrays)
    return codes, examples[:found].clone()


class _Attention(torch.autograd.Function):
    """``packed_attention.attend``; only the queries, keys, values and the result are kept."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch's own
        qkv: Tensor,
        table: Tensor,
        dense: Tensor,
        graph: Tensor,
        bias: PackedBias,
        seed: int,
        dropout: float,
    ) -> Tensor:
        """[S, D] from [S, 3 D]."""
        heads, (tokens, triple) = len(graph), qkv.shape
        packed = qkv.float().contiguous()
        out = torch.zeros(tokens, triple // 3)
        totals = torch.empty(heads, tokens)
        dropped = round(dropout * _DRAWS)
        ctx.settings = (seed, np.uint32(dropped), np.float32(_DRAWS / (_DRAWS - dropped)))
        places, codes = bias.places, bias.codes
        ctx.places = places
        fixed = [_array(part) for part in (places.token_starts, places.pair_starts)]
        given = (_array(packed), *fixed, *map(_array, (dense, table, codes, graph)), *ctx.settings)

        def work(_: int, first: int, last: int) -> None:
            packed_attention.attend(*given, first, last, _array(out), _array(totals))

        _shared(places, work)
        ctx.save_for_backward(packed, table, dense, graph, codes, out, totals)
        ctx.dtype = qkv.dtype
        return out.to(qkv.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of the first four."""
        packed, table, dense, graph, codes, out, totals = ctx.saved_tensors
        by_qkv, by_dense = torch.zeros_like(packed), torch.empty_like(dense)
        threads = torch.get_num_threads()
        by_table, by_graph = torch.zeros(threads, *table.shape), torch.zeros(threads, len(graph))
        places = ctx.places
        fixed = [_array(part) for part in (places.token_starts, places.pair_starts)]
        given = (_array(packed), *fixed, *map(_array, (dense, table, codes, graph)), *ctx.settings)
        made = [_array(part) for part in (out, totals, grad.float().contiguous(), by_qkv, by_dense)]

        def work(part: int, first: int, last: int) -> None:
            packed_attention.attend_backward(
                *given, first, last, *made, _array(by_table[part]), _array(by_graph[part])
            )

        _shared(places, work)
        return by_qkv.to(ctx.dtype), by_table.sum(0), by_dense, by_graph.sum(0), None, None, None


def attention(qkv: Tensor, bias: PackedBias, dropout: float) -> Tensor:
    """Softmax attention within each molecule, scaled by d ** -0.5: [S, D] from [S, 3 D].

    Args:
        qkv: queries, keys and values; d is a multiple of ``LANES``.
        bias: of pairs.
        dropout: rate, on the weights; its draws follow from torch's generator.
    """
    seed = int(torch.randint(1 << 62, ())) if dropout else 0
    dense = bias.dense if bias.dense is not None else bias.table.new_empty(len(bias.table), 0)
    with torch.autocast("cpu", enabled=False):
        mixed: Tensor = _Attention.apply(qkv, bias.table, dense, bias.graph, bias, seed, dropout)  # type: ignore[no-untyped-call]
        return mixed


class Kernels(NamedTuple):
    """Gaussian kernels, each ``exp(log_height - (slope x + shift)^2)``, fp32 [K]."""

    slope: Tensor
    shift: Tensor
    log_height: Tensor


class _FeatureSums(torch.autograd.Function):
    """``packed_distances.feature_sums``."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        scales: Tensor,
        slope: Tensor,
        shift: Tensor,
        log_height: Tensor,
        coords: Tensor,
        seen: Tensor,
        places: Places,
    ) -> Tensor:
        """[A, K]."""
        height = log_height.exp()
        ctx.save_for_backward(coords, scales, seen, slope, shift, height)
        ctx.places = places
        sums = torch.zeros(len(coords), len(slope))
        given = [_array(part) for part in (coords, scales, places.atom_starts, seen, slope, shift, height)]
        _shared(places, lambda _, first, last: packed_distances.feature_sums(*given, first, last, _array(sums)))
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of the first four."""
        coords, scales, seen, slope, shift, height = ctx.saved_tensors
        places = ctx.places
        by_scales = torch.zeros_like(scales)
        by_kernels = torch.zeros(torch.get_num_threads(), 3, len(slope))
        given = [_array(part) for part in (coords, scales, places.atom_starts, seen, slope, shift, height)]
        by_sums, made = _array(grad.contiguous()), _array(by_scales)

        def work(part: int, first: int, last: int) -> None:
            packed_distances.feature_sums_backward(
                *given, first, last, by_sums, made, _array(by_kernels[part])
            )

        _shared(places, work)
        return by_scales, *by_kernels.sum(0).unbind(0), None, None, None


def feature_sums(places: Places, coords: Tensor, scales: Tensor, kernels: Kernels, seen: Tensor) -> Tensor:
    """Gaussian features of an atom's distances, summed over its molecule: fp32 [A, K].

    Args:
        places: of the batch.
        coords: fp32 [A, 3] in Angstrom.
        scales: fp32 [A, 4], what an atom adds to a distance's scale (first, second) and shift (first, second).
        kernels: the Gaussians.
        seen: uint8 [A], atoms that have them; the rows of others are 0.
    """
    sums: Tensor = _FeatureSums.apply(scales, *kernels, coords, seen, places)  # type: ignore[no-untyped-call]
    return sums


class _DistanceBiases(torch.autograd.Function):
    """``packed_distances.pair_biases``."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        table: Tensor,
        scales: Tensor,
        slope: Tensor,
        shift: Tensor,
        log_height: Tensor,
        inside: Tensor,
        inside_bias: Tensor,
        outside: Tensor,
        outside_bias: Tensor,
        coords: Tensor,
        seen: Tensor,
        codes: Tensor,
        places: Places,
    ) -> Tensor:
        """[H, P]."""
        height = log_height.exp()
        ctx.save_for_backward(
            coords, scales, seen, codes, slope, shift, height, inside, inside_bias, outside, table
        )
        ctx.places = places
        biases = torch.empty(len(outside), places.pairs)
        parts = (coords, scales, places.atom_starts, places.pair_starts, seen, codes, table, slope, shift, height)
        weights = (inside.flatten(), inside_bias, outside.flatten(), outside_bias)
        given = [_array(part) for part in (*parts, *weights)]
        _shared(places, lambda _, first, last: packed_distances.pair_biases(*given, first, last, _array(biases)))
        return biases

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of the first nine."""
        coords, scales, seen, codes, slope, shift, height, inside, inside_bias, outside, table = ctx.saved_tensors
        places, (across, kernels), heads = ctx.places, inside.shape, len(outside)
        wide, tall = -(-kernels // LANES) * LANES, -(-across // LANES) * LANES
        sizes = (table.shape, scales.shape, (3, kernels), (across * wide,), (across,), (heads * tall,), (heads,))
        sums = [torch.zeros(torch.get_num_threads(), *size) for size in sizes]
        parts = (coords, scales, places.atom_starts, places.pair_starts, seen, codes, slope, shift, height)
        given = [_array(part) for part in (*parts, inside.flatten(), inside_bias, outside.flatten())]
        by_biases = _array(grad.contiguous())

        def work(part: int, first: int, last: int) -> None:
            made = [_array(each[part]) for each in sums]
            packed_distances.pair_biases_backward(*given, first, last, by_biases, *made)

        _shared(places, work)
        by_table, by_scales, by_kernels, by_inside, by_inside_bias, by_outside, by_outside_bias = (
            each.sum(0) for each in sums
        )
        by_inside = by_inside.view(across, wide)[:, :kernels]
        by_outside = by_outside.view(heads, tall)[:, :across]
        weights = (by_inside, by_inside_bias, by_outside, by_outside_bias)
        return by_table, by_scales, *by_kernels.unbind(0), *weights, None, None, None, None


def distance_biases(
    places: Places,
    coords: Tensor,
    scales: Tensor,
    kernels: Kernels,
    hidden: torch.nn.Linear,
    out: torch.nn.Linear,
    seen: Tensor,
    codes: Tensor,
    table: Tensor,
) -> Tensor:
    """Biases of pairs, fp32 [H, P]: a row of the table, and that of the distance where it is seen.

    Args:
        places: of the batch.
        coords: fp32 [A, 3] in Angstrom.
        scales: as in :func:`feature_sums`.
        kernels: the Gaussians.
        hidden: from their K features to hidden ones.
        out: from those, after gelu, to H.
        seen: uint8 [P], pairs that show their distance.
        codes: int32 [P], rows of ``table``.
        table: fp32 [H, U].
    """
    weights = [part.float() for part in (hidden.weight, hidden.bias, out.weight, out.bias)]
    given = (table, scales, *kernels, *weights, coords, seen, codes, places)
    biases: Tensor = _DistanceBiases.apply(*given)  # type: ignore[no-untyped-call]
    return biases
