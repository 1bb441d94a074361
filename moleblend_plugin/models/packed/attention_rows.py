"""What attention reads and writes besides its products, compiled for a CPU.

T tokens and N = T - 1 atoms of a molecule, P pairs of atoms of all molecules, H heads, U rows of a
table of biases.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from moleblend_plugin.schema import Array
from moleblend_plugin.simd.moves import add_scattered, gathered, turned
from moleblend_plugin.simd.vectors import FAST, LANES, load, spread, store, times

NEVER = np.float32(-1e30)
"""The logit of what no query sees."""
_ZERO = np.float32(0.0)


@njit(cache=True, nogil=True, fastmath=FAST)
def turn(flat: Array, first: int, step: int, tokens: int, across: int, out: Array, padded: int) -> None:
    """Write ``across`` numbers of each token, from ``first`` on, as rows of ``padded`` numbers."""
    whole = tokens // LANES * LANES
    for c in range(0, across, LANES):
        for j in range(0, whole, LANES):
            turned(flat, first + j * step + c, step, out, c * padded + j, padded)
    for c in range(across):
        for j in range(whole, tokens):
            out[c * padded + j] = flat[first + j * step + c]
        for j in range(tokens, padded):
            out[c * padded + j] = _ZERO


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def copy_numbers(flat: Array, first: int, out: Array, to: int, count: int) -> None:
    """Copy ``count`` neighbours."""
    whole = count // LANES * LANES
    for j in range(0, whole, LANES):
        store(out, to + j, load(flat, first + j))
    for j in range(whole, count):
        out[to + j] = flat[first + j]


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def write_biases(
    top: int,
    rows: int,
    tokens: int,
    head: int,
    pair: int,
    graph: Array,
    dense: Array,
    table: Array,
    codes: Array,
    padded: int,
    out: Array,
) -> None:
    """Write those of some queries: of their pairs with atoms, then with the graph token; padding never."""
    atoms, of_graph, flat, flat_dense = tokens - 1, graph[head], table.reshape(-1), dense.reshape(-1)
    for r in range(rows):
        row, first = r * padded, pair + (top + r) * atoms
        if top + r == atoms:
            for j in range(atoms):
                out[row + j] = of_graph
        elif dense.size:
            copy_numbers(flat_dense, head * dense.shape[1] + first, out, row, atoms)
        else:
            whole = atoms // LANES * LANES
            for j in range(0, whole, LANES):
                store(out, row + j, gathered(flat, head * table.shape[1], codes, first + j))
            for j in range(whole, atoms):
                out[row + j] = table[head, codes[first + j]]
        out[row + atoms] = of_graph
        for j in range(tokens, padded):
            out[row + j] = NEVER


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def add_by_biases(
    top: int,
    rows: int,
    tokens: int,
    head: int,
    pair: int,
    slopes: Array,
    padded: int,
    codes: Array,
    by_graph: Array,
    by_dense: Array,
    by_table: Array,
) -> None:
    """Gradients of what :func:`write_biases` wrote, from those of logits."""
    atoms, flat, flat_dense = tokens - 1, by_table.reshape(-1), by_dense.reshape(-1)
    for r in range(rows):
        row, first = r * padded, pair + (top + r) * atoms
        by_graph[head] += slopes[row + atoms]
        if top + r == atoms:
            for j in range(atoms):
                by_graph[head] += slopes[row + j]
        elif by_dense.size:
            copy_numbers(slopes, row, flat_dense, head * by_dense.shape[1] + first, atoms)
        else:
            add_scattered(flat, head * by_table.shape[1], codes, first, slopes, row, atoms)


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def scale_rows(flat: Array, first: int, step: int, rows: int, across: int, scale: float, out: Array) -> None:
    """Write ``rows`` times ``across`` numbers from ``first`` on, every ``step``, times ``scale``."""
    factor = spread(scale)
    for r in range(rows):
        for c in range(0, across, LANES):
            store(out, r * across + c, times(load(flat, first + r * step + c), factor))


@njit(cache=True, nogil=True)
def padded_longest(token_starts: Array, first: int, last: int) -> int:
    """Tokens of the largest of some molecules, with those that fill its last vector."""
    longest = 0
    for molecule in range(first, last):
        longest = max(longest, token_starts[molecule + 1] - token_starts[molecule])
    return -(-longest // LANES) * LANES


@njit(cache=True, nogil=True, fastmath=FAST)
def fetch(flat: Array, begin: int, end: int) -> np.float32:
    """Read a piece of an array in order: heads then read it in steps that no processor foresees."""
    read = _ZERO
    for place in range(begin, end, 16):
        read += flat[place]
    return read
