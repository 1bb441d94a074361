"""Attention without padding, with gradients of its own, and the numbers of pairs.

S tokens, D width, d = D / H, P pairs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from moleblend_plugin.models.packed import attention_loops, pair_codes
from moleblend_plugin.models.packed.places import PackedBias, Places, as_array, share_out
from moleblend_plugin.models.packed.tokens import Draws, draws


def number_pairs(
    places: Places, spd: Tensor, bond_path: Tensor, shown: Tensor, bits: int
) -> tuple[Tensor, Tensor]:
    """Codes int32 [P] of pairs, and a place in [B * N * N] for each of the U; see ``packed_codes``."""
    codes, examples = (
        torch.empty(places.pairs, dtype=torch.int32),
        torch.empty(places.pairs, dtype=torch.int64),
    )
    inside = places.atoms % places.real.shape[1]
    given = [as_array(part.contiguous()) for part in (spd, bond_path, shown)]
    arrays = [as_array(part) for part in (inside, places.atom_starts, codes, examples)]
    found = pair_codes.number_pairs(*given, bits, *arrays)
    return codes, examples[:found].clone()


class _Attention(torch.autograd.Function):
    """``attention_loops.attend``; only the queries, keys, values and the result are kept."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch's own
        qkv: Tensor,
        table: Tensor,
        dense: Tensor,
        graph: Tensor,
        bias: PackedBias,
        settings: Draws,
    ) -> Tensor:
        """[S, D] from [S, 3 D]."""
        heads, (tokens, triple) = len(graph), qkv.shape
        packed = qkv.float().contiguous()
        out = torch.zeros(tokens, triple // 3)
        totals = torch.empty(heads, tokens)
        ctx.settings = settings
        places, codes = bias.places, bias.codes
        ctx.places = places
        fixed = [as_array(part) for part in (places.token_starts, places.pair_starts)]
        given = (as_array(packed), *fixed, *map(as_array, (dense, table, codes, graph)), *ctx.settings)

        def work(_: int, first: int, last: int) -> None:
            attention_loops.attend(*given, first, last, as_array(out), as_array(totals))

        share_out(places, work)
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
        fixed = [as_array(part) for part in (places.token_starts, places.pair_starts)]
        given = (as_array(packed), *fixed, *map(as_array, (dense, table, codes, graph)), *ctx.settings)
        made = [as_array(part) for part in (out, totals, grad.float().contiguous(), by_qkv, by_dense)]

        def work(part: int, first: int, last: int) -> None:
            attention_loops.attend_backward(
                *given, first, last, *made, as_array(by_table[part]), as_array(by_graph[part])
            )

        share_out(places, work)
        return by_qkv.to(ctx.dtype), by_table.sum(0), by_dense, by_graph.sum(0), None, None


def attention(qkv: Tensor, bias: PackedBias, dropout: float) -> Tensor:
    """Softmax attention within each molecule, scaled by d ** -0.5: [S, D] from [S, 3 D].

    Args:
        qkv: queries, keys and values; d is a multiple of ``LANES``.
        bias: of pairs.
        dropout: rate, on the weights; its draws follow from torch's generator.
    """
    dense = bias.dense if bias.dense is not None else bias.table.new_empty(len(bias.table), 0)
    with torch.autocast("cpu", enabled=False):
        mixed: Tensor = _Attention.apply(qkv, bias.table, dense, bias.graph, bias, draws(dropout))  # type: ignore[no-untyped-call]
        return mixed
