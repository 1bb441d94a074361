"""Attention over molecules without padding, compiled for a CPU.

A tokens of all molecules one after another, T tokens and N = T - 1 atoms of one of them, P ordered pairs of
atoms of all molecules, H heads, D width, d = D / H, U rows of a table of biases.
"""

from __future__ import annotations

import numpy as np
from numba import njit

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

_NEVER = np.float32(-1e30)
_ZERO = np.float32(0.0)


@njit(cache=True, nogil=True, fastmath=FAST)
def _turned(
    qkv: Array, begin: int, tokens: int, column: int, across: int, turned: Array, padded: int
) -> None:
    """Write ``across`` columns of ``qkv`` from ``column`` on as rows of ``padded`` numbers."""
    for c in range(across):
        row = c * padded
        for j in range(tokens):
            turned[row + j] = qkv[begin + j, column + c]
        for j in range(tokens, padded):
            turned[row + j] = _ZERO


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def _bias_row(
    token: int,
    tokens: int,
    head: int,
    pair: int,
    graph: Array,
    dense: Array,
    table: Array,
    codes: Array,
    padded: int,
    bias: Array,
) -> None:
    """Biases of one query: of its pairs with atoms, then with the graph token; none looks at padding."""
    atoms = tokens - 1
    if token == atoms:
        for j in range(atoms):
            bias[j] = graph[head]
    elif dense.size:
        for j in range(atoms):
            bias[j] = dense[head, pair + j]
    else:
        for j in range(atoms):
            bias[j] = table[head, codes[pair + j]]
    bias[atoms] = graph[head]
    for j in range(tokens, padded):
        bias[j] = _NEVER


@njit(cache=True, nogil=True)
def _padded_longest(token_starts: Array, first: int, last: int) -> int:
    """Tokens of the largest of some molecules, with those that fill its last vector."""
    longest = 0
    for molecule in range(first, last):
        longest = max(longest, token_starts[molecule + 1] - token_starts[molecule])
    return -(-longest // LANES) * LANES


@njit(cache=True, nogil=True, fastmath=FAST)
def _fetched(flat: Array, begin: int, end: int) -> np.float32:
    """Read a piece of an array in order: heads then read it in steps that no processor foresees."""
    read = _ZERO
    for place in range(begin, end, 16):
        read += flat[place]
    return read


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
    factor = spread(scale)
    widest = _padded_longest(token_starts, first, last)
    bias = np.empty(widest, np.float32)
    keys = np.empty(across * widest, np.float32)
    logits = np.empty(ROWS * widest, np.float32)
    flat, flat_out = qkv.reshape(-1), out.reshape(-1)
    step = 3 * width
    for molecule in range(first, last):
        begin = token_starts[molecule]
        tokens = token_starts[molecule + 1] - begin
        padded = -(-tokens // LANES) * LANES
        bias[0] = _fetched(flat, begin * step, (begin + tokens) * step)
        bias[0] += _fetched(flat_out, begin * width, (begin + tokens) * width)
        for head in range(heads):
            column = head * across
            _turned(qkv, begin, tokens, width + column, across, keys, padded)
            for top in range(0, tokens, ROWS):
                rows = min(ROWS, tokens - top)
                logits[: rows * padded] = _ZERO
                query = (begin + top) * step + column
                add_product(flat, query, step, 1, keys, 0, padded, logits, 0, padded, rows, across, padded)
                for r in range(rows):
                    token, row = top + r, r * padded
                    pair = pair_starts[molecule] + token * (tokens - 1)
                    _bias_row(token, tokens, head, pair, graph, dense, table, codes, padded, bias)
                    highest = spread(_NEVER)
                    for j in range(0, padded, LANES):
                        logit = muladd(load(logits, row + j), factor, load(bias, j))
                        store(logits, row + j, logit)
                        highest = larger(highest, logit)
                    most = largest(highest)
                    highest, summed = spread(most), spread(_ZERO)
                    for j in range(0, padded, LANES):
                        share = exponentials(minus(load(logits, row + j), highest))
                        store(logits, row + j, share)
                        summed = plus(summed, share)
                    whole = total(summed)
                    totals[head, begin + token] = most + np.log(whole)
                    kept = spread(rescale / whole)
                    stream = stream_of(seed, (begin + token) * heads + head)
                    for j in range(0, padded, LANES):
                        share = times(load(logits, row + j), kept)
                        if dropped:
                            share = dropped_out(share, stream, j, dropped)
                        store(logits, row + j, share)
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
    factor, none = spread(scale), spread(_ZERO)
    widest = _padded_longest(token_starts, first, last)
    bias = np.empty(widest, np.float32)
    keys, values = np.empty(across * widest, np.float32), np.empty(across * widest, np.float32)
    probs, slopes = np.empty(ROWS * widest, np.float32), np.empty(ROWS * widest, np.float32)
    flat, flat_out, flat_by = qkv.reshape(-1), by_out.reshape(-1), by_qkv.reshape(-1)
    flat_given = out.reshape(-1)
    step = 3 * width
    for molecule in range(first, last):
        begin = token_starts[molecule]
        tokens = token_starts[molecule + 1] - begin
        padded = -(-tokens // LANES) * LANES
        bias[0] = _fetched(flat, begin * step, (begin + tokens) * step)
        bias[0] += _fetched(flat_by, begin * step, (begin + tokens) * step)
        bias[0] += _fetched(flat_out, begin * width, (begin + tokens) * width)
        bias[0] += _fetched(flat_given, begin * width, (begin + tokens) * width)
        for head in range(heads):
            column = head * across
            _turned(qkv, begin, tokens, width + column, across, keys, padded)
            _turned(qkv, begin, tokens, 2 * width + column, across, values, padded)
            of_keys = begin * step + width + column
            for top in range(0, tokens, ROWS):
                rows = min(ROWS, tokens - top)
                probs[: rows * padded] = _ZERO
                slopes[: rows * padded] = _ZERO
                query, grad = (begin + top) * step + column, (begin + top) * width + column
                add_product(flat, query, step, 1, keys, 0, padded, probs, 0, padded, rows, across, padded)
                add_product(
                    flat_out, grad, width, 1, values, 0, padded, slopes, 0, padded, rows, across, padded
                )
                for r in range(rows):
                    token, row = top + r, r * padded
                    pair = pair_starts[molecule] + token * (tokens - 1)
                    _bias_row(token, tokens, head, pair, graph, dense, table, codes, padded, bias)
                    mean, at = _ZERO, (begin + token) * width + column
                    for c in range(across):
                        mean += flat_out[at + c] * flat_given[at + c]
                    means, offset = spread(mean), spread(totals[head, begin + token])
                    stream = stream_of(seed, (begin + token) * heads + head)
                    for j in range(0, padded, LANES):
                        logit = muladd(load(probs, row + j), factor, load(bias, j))
                        share = exponentials(smaller(none, minus(logit, offset)))
                        kept = spread(rescale)
                        if dropped:
                            kept = dropped_out(kept, stream, j, dropped)
                        slope = times(share, minus(times(kept, load(slopes, row + j)), means))
                        store(probs, row + j, times(share, kept))
                        store(bias, j, slope)
                        store(slopes, row + j, times(slope, factor))
                    by_graph[head] += bias[tokens - 1]
                    if token == tokens - 1:
                        for j in range(tokens - 1):
                            by_graph[head] += bias[j]
                    elif dense.size:
                        for j in range(tokens - 1):
                            by_dense[head, pair + j] = bias[j]
                    else:
                        for j in range(tokens - 1):
                            by_table[head, codes[pair + j]] += bias[j]
                to = begin * step + 2 * width + column
                add_product(
                    probs, 0, 1, padded, flat_out, grad, width, flat_by, to, step, tokens, rows, across
                )
                to = begin * step + width + column
                add_product(slopes, 0, 1, padded, flat, query, step, flat_by, to, step, tokens, rows, across)
                add_product(
                    slopes, 0, padded, 1, flat, of_keys, step, flat_by, query, step, rows, tokens, across
                )
