"""Attention over molecules without padding, compiled for a CPU.

A tokens of all molecules one after another, T tokens and N = T - 1 atoms of one of them, P ordered pairs of
atoms of all molecules, H heads, D width, d = D / H, U rows of a table of biases.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from moleblend_plugin.models.packed.attention_rows import (
    NEVER,
    add_by_biases,
    fetch,
    padded_longest,
    scale_rows,
    turn,
    write_biases,
)
from moleblend_plugin.schema import Array
from moleblend_plugin.simd.products import add_product
from moleblend_plugin.simd.vectors import (
    FAST,
    LANES,
    dropped_out,
    exponentials,
    larger,
    largest,
    load,
    minus,
    muladd,
    plus,
    smaller,
    spread,
    store,
    stream_of,
    times,
    total,
)

ROWS = 64
"""Queries that are treated together: their logits stay in the cache however large a molecule is."""

_ZERO = np.float32(0.0)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def attend(
    qkv: Array,  # fp32 [A, 3 D]
    token_starts: Array,  # int64 [B + 1]
    pair_starts: Array,  # int64 [B + 1]
    dense: Array,  # fp32 [H, P], or [H, 0] where the table has all
    table: Array,  # fp32 [H, U]
    codes: Array,  # int32 [P], rows of the table
    graph: Array,  # fp32 [H]
    seed: int,
    dropped: int,
    rescale: float,  # fp32
    first: int,
    last: int,
    out: Array,  # fp32 [A, D], zeros
    totals: Array,  # fp32 [H, A]
) -> None:
    """Molecules ``first`` to ``last``: attention into ``out``, what gradients need into ``totals``.

    Args:
        qkv: queries, keys and values.
        token_starts: first token of every molecule.
        pair_starts: first pair of every molecule.
        dense: bias of every pair.
        table: biases by code.
        codes: of every pair.
        graph: bias of every pair with the graph token.
        seed: of the draws of dropout.
        dropped: of 2 ** 32 draws.
        rescale: of what is kept.
        first: molecule.
        last: molecule, not included.
        out: receives the values.
        totals: receives logarithms of sums of exponentials.
    """
    heads = graph.size
    width = qkv.shape[1] // 3
    across = width // heads
    scale = np.float32(1.0 / np.sqrt(across))
    widest = padded_longest(token_starts, first, last)
    queries = np.empty(ROWS * across, np.float32)
    keys = np.empty(across * widest, np.float32)
    logits = np.empty(ROWS * widest, np.float32)
    most, whole = np.empty(ROWS, np.float32), np.empty(ROWS, np.float32)
    flat, flat_out = qkv.reshape(-1), out.reshape(-1)
    step = 3 * width
    for molecule in range(first, last):
        begin = token_starts[molecule]
        tokens = token_starts[molecule + 1] - begin
        padded = -(-tokens // LANES) * LANES
        keys[0] = fetch(flat, begin * step, (begin + tokens) * step)
        keys[0] += fetch(flat_out, begin * width, (begin + tokens) * width)
        for head in range(heads):
            column = head * across
            turn(flat, begin * step + width + column, step, tokens, across, keys, padded)
            for top in range(0, tokens, ROWS):
                rows = min(ROWS, tokens - top)
                scale_rows(flat, (begin + top) * step + column, step, rows, across, scale, queries)
                pair = pair_starts[molecule]
                write_biases(top, rows, tokens, head, pair, graph, dense, table, codes, padded, logits)
                add_product(queries, 0, across, 1, keys, 0, padded, logits, 0, padded, rows, across, padded)
                for r in range(rows):  # each step for all rows: a processor then works at several of them
                    highest = spread(NEVER)
                    for j in range(r * padded, (r + 1) * padded, LANES):
                        highest = larger(highest, load(logits, j))
                    most[r] = largest(highest)
                for r in range(rows):
                    highest, summed = spread(most[r]), spread(_ZERO)
                    for j in range(r * padded, (r + 1) * padded, LANES):
                        share = exponentials(minus(load(logits, j), highest))
                        store(logits, j, share)
                        summed = plus(summed, share)
                    whole[r] = total(summed)
                for r in range(rows):
                    totals[head, begin + top + r] = most[r] + np.log(whole[r])
                    kept = spread(rescale / whole[r])
                    stream = stream_of(seed, (begin + top + r) * heads + head)
                    for j in range(0, padded, LANES):
                        share = times(load(logits, r * padded + j), kept)
                        if dropped:
                            share = dropped_out(share, stream, j, dropped)
                        store(logits, r * padded + j, share)
                value, to = begin * step + 2 * width + column, (begin + top) * width + column
                add_product(
                    logits, 0, padded, 1, flat, value, step, flat_out, to, width, rows, tokens, across
                )


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def attend_backward(
    qkv: Array,
    token_starts: Array,
    pair_starts: Array,
    dense: Array,
    table: Array,
    codes: Array,
    graph: Array,
    seed: int,
    dropped: int,
    rescale: float,
    first: int,
    last: int,
    out: Array,
    totals: Array,
    by_out: Array,  # fp32 [A, D]
    by_qkv: Array,  # fp32 [A, 3 D], zeros
    by_dense: Array,  # fp32 as dense
    by_table: Array,  # fp32 [H, U], zeros
    by_graph: Array,  # fp32 [H], zeros
) -> None:
    """Gradients of :func:`attend`; the probabilities are computed again.

    Args:
        qkv: as there, as are all up to ``totals``.
        token_starts: first token of every molecule.
        pair_starts: first pair of every molecule.
        dense: bias of every pair.
        table: biases by code.
        codes: of every pair.
        graph: bias of every pair with the graph token.
        seed: of the draws of dropout.
        dropped: of 2 ** 32 draws.
        rescale: of what is kept.
        first: molecule.
        last: molecule, not included.
        out: what it gave.
        totals: what it gave.
        by_out: gradient of ``out``.
        by_qkv: receives that of ``qkv``.
        by_dense: receives that of ``dense``.
        by_table: that of ``table`` is added.
        by_graph: that of ``graph`` is added.
    """
    heads = graph.size
    width = qkv.shape[1] // 3
    across = width // heads
    scale = np.float32(1.0 / np.sqrt(across))
    none = spread(_ZERO)
    widest = padded_longest(token_starts, first, last)
    queries, by_queries = np.empty(ROWS * across, np.float32), np.empty(ROWS * across, np.float32)
    keys, values = np.empty(across * widest, np.float32), np.empty(across * widest, np.float32)
    probs, slopes = np.empty(ROWS * widest, np.float32), np.empty(ROWS * widest, np.float32)
    means = np.empty(ROWS, np.float32)
    flat, flat_out, flat_by = qkv.reshape(-1), by_out.reshape(-1), by_qkv.reshape(-1)
    flat_given = out.reshape(-1)
    step = 3 * width
    for molecule in range(first, last):
        begin = token_starts[molecule]
        tokens = token_starts[molecule + 1] - begin
        padded = -(-tokens // LANES) * LANES
        keys[0] = fetch(flat, begin * step, (begin + tokens) * step)
        keys[0] += fetch(flat_by, begin * step, (begin + tokens) * step)
        keys[0] += fetch(flat_out, begin * width, (begin + tokens) * width)
        keys[0] += fetch(flat_given, begin * width, (begin + tokens) * width)
        for head in range(heads):
            column = head * across
            turn(flat, begin * step + width + column, step, tokens, across, keys, padded)
            turn(flat, begin * step + 2 * width + column, step, tokens, across, values, padded)
            of_keys = begin * step + width + column
            for top in range(0, tokens, ROWS):
                rows = min(ROWS, tokens - top)
                query, grad = (begin + top) * step + column, (begin + top) * width + column
                scale_rows(flat, query, step, rows, across, scale, queries)
                pair = pair_starts[molecule]
                write_biases(top, rows, tokens, head, pair, graph, dense, table, codes, padded, probs)
                slopes[: rows * padded] = _ZERO
                add_product(queries, 0, across, 1, keys, 0, padded, probs, 0, padded, rows, across, padded)
                add_product(
                    flat_out, grad, width, 1, values, 0, padded, slopes, 0, padded, rows, across, padded
                )
                for r in range(rows):
                    summed = none
                    for c in range(grad + r * width, grad + r * width + across, LANES):
                        summed = muladd(load(flat_out, c), load(flat_given, c), summed)
                    means[r] = total(summed)
                for r in range(rows):
                    token, row = begin + top + r, r * padded
                    mean, offset = spread(means[r]), spread(totals[head, token])
                    stream = stream_of(seed, token * heads + head)
                    for j in range(0, padded, LANES):
                        share = exponentials(smaller(none, minus(load(probs, row + j), offset)))
                        kept = spread(rescale)
                        if dropped:
                            kept = dropped_out(kept, stream, j, dropped)
                        slope = times(share, minus(times(kept, load(slopes, row + j)), mean))
                        store(probs, row + j, times(share, kept))
                        store(slopes, row + j, slope)
                add_by_biases(
                    top, rows, tokens, head, pair, slopes, padded, codes, by_graph, by_dense, by_table
                )
                to = begin * step + 2 * width + column
                add_product(
                    probs, 0, 1, padded, flat_out, grad, width, flat_by, to, step, tokens, rows, across
                )
                to = begin * step + width + column
                add_product(slopes, 0, 1, padded, queries, 0, across, flat_by, to, step, tokens, rows, across)
                by_queries[: rows * across] = _ZERO
                add_product(
                    slopes, 0, padded, 1, flat, of_keys, step, by_queries, 0, across, rows, tokens, across
                )
                factor = spread(scale)
                for r in range(rows):
                    for c in range(0, across, LANES):
                        store(flat_by, query + r * step + c, times(load(by_queries, r * across + c), factor))
