"""What distances add to attention and to atoms, of molecules without padding, compiled for a CPU.

Gaussian features of a pair are made where they are needed and never stored: with what gradients need of them
they would be the largest tensors of a small network.

A atoms of all molecules, P ordered pairs of them, H heads, K Gaussian kernels, C hidden features, U rows of a
table.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from moleblend_plugin.models.packed.gaussian_loops import FAR, LARGEST, apart_by, gaussian
from moleblend_plugin.schema import Array
from moleblend_plugin.simd.products import add_product
from moleblend_plugin.simd.vectors import (
    FAST,
    LANES,
    Vector,
    exponentials,
    larger,
    load,
    magnitude,
    minus,
    muladd,
    over,
    plus,
    signed_like,
    smaller,
    spread,
    store,
    times,
    total,
)

BLOCK = 64
"""Pairs that are treated together."""

_ZERO, _HALF, _ONE, _MINUS_TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(-2)
_ROOT_HALF = np.float32(np.sqrt(0.5))
_ROOT_TWO_PI = np.float32(1 / np.sqrt(2 * np.pi))
_P, _A1, _A2 = np.float32(0.3275911), np.float32(0.254829592), np.float32(-0.284496736)
_A3, _A4, _A5 = np.float32(1.421413741), np.float32(-1.453152027), np.float32(1.061405429)


@njit(inline="always")
def _gelu(x: Vector) -> tuple[Vector, Vector]:
    """gelu and its slope; the error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    one = spread(_ONE)
    bell = exponentials(times(times(x, x), spread(-_HALF)))
    t = over(one, muladd(times(magnitude(x), spread(_ROOT_HALF)), spread(_P), one))
    tail = muladd(t, muladd(t, spread(_A5), spread(_A4)), spread(_A3))
    tail = times(t, muladd(t, muladd(t, tail, spread(_A2)), spread(_A1)))
    erf = signed_like(larger(spread(_ZERO), minus(one, times(tail, bell))), x)
    share = muladd(erf, spread(_HALF), spread(_HALF))
    return times(x, share), muladd(times(x, bell), spread(_ROOT_TWO_PI), share)


@njit(cache=True, nogil=True, fastmath=FAST)
def _collect(
    places: Array,
    scales: Array,
    begin: int,
    atoms: int,
    pair: int,
    offset: int,
    seen: Array,
    chosen: Array,
    apart: Array,
    scaled: Array,
) -> tuple[int, int]:
    """The next pairs of a molecule that show their distance: how many, and where the search ended."""
    count = 0
    while offset < atoms * atoms and count < BLOCK:
        if seen[pair + offset]:
            i, j = begin + offset // atoms, begin + offset % atoms
            distance = apart_by(places, i, j)
            chosen[count] = offset
            apart[count] = distance
            scaled[count] = (scales[i, 0] + scales[j, 1]) * distance + (scales[i, 2] + scales[j, 3])
            count += 1
        offset += 1
    for place in range(count, BLOCK):
        scaled[place] = FAR
    return count, offset


@njit(cache=True, nogil=True, fastmath=FAST)
def _hidden(
    scaled: Array,
    slope: Array,
    shift: Array,
    height: Array,
    inside: Array,
    inside_bias: Array,
    features: Array,
    hidden: Array,
) -> None:
    """Gaussian features [K, 64] of a block, and the hidden ones [C, 64] before gelu."""
    kernels, across = slope.size, inside_bias.size
    for k in range(kernels):
        by, to, of = spread(slope[k]), spread(shift[k]), spread(height[k])
        for p in range(0, BLOCK, LANES):
            store(features, k * BLOCK + p, gaussian(load(scaled, p), by, to, of)[0])
    for c in range(across):
        first = spread(inside_bias[c])
        for p in range(0, BLOCK, LANES):
            store(hidden, c * BLOCK + p, first)
    add_product(inside, 0, kernels, 1, features, 0, BLOCK, hidden, 0, BLOCK, across, kernels, BLOCK)


@njit(cache=True, nogil=True, fastmath=FAST)
def pair_biases(
    places: Array,  # fp32 [A, 3]
    scales: Array,  # fp32 [A, 4]
    atom_starts: Array,  # int64 [B + 1]
    pair_starts: Array,  # int64 [B + 1]
    seen: Array,  # uint8 [P]
    codes: Array,  # int32 [P]
    table: Array,  # fp32 [H, U]
    slope: Array,  # fp32 [K]
    shift: Array,  # fp32 [K]
    height: Array,  # fp32 [K]
    inside: Array,  # fp32 [C * K]
    inside_bias: Array,  # fp32 [C]
    outside: Array,  # fp32 [H * C]
    outside_bias: Array,  # fp32 [H]
    first: int,
    last: int,
    biases: Array,  # fp32 [H, P]
) -> None:
    """Biases of the pairs of molecules ``first`` to ``last``: by code, and of the distance where it is seen.

    Args:
        places: of atoms, in Angstrom.
        scales: what an atom adds to the scale of a distance, as the first atom of its pair and as the second,
            and to its shift.
        atom_starts: first atom of every molecule.
        pair_starts: first pair of every molecule.
        seen: which pairs show their distance.
        codes: of pairs.
        table: biases by code.
        slope: of the kernels.
        shift: of the kernels.
        height: of the kernels.
        inside: weights of the hidden features.
        inside_bias: of the hidden features.
        outside: weights of the biases.
        outside_bias: what every bias of a distance begins with.
        first: molecule.
        last: molecule, not included.
        biases: receives the biases.
    """
    heads, kernels, across = outside_bias.size, slope.size, inside_bias.size
    chosen = np.empty(BLOCK, np.int64)
    apart, scaled = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    features, hidden = np.empty(kernels * BLOCK, np.float32), np.empty(across * BLOCK, np.float32)
    results = np.empty(heads * BLOCK, np.float32)
    for head in range(heads):
        for pair in range(pair_starts[first], pair_starts[last]):
            biases[head, pair] = table[head, codes[pair]]
    for molecule in range(first, last):
        begin, pair, offset = atom_starts[molecule], pair_starts[molecule], 0
        atoms = atom_starts[molecule + 1] - begin
        while offset < atoms * atoms:
            count, offset = _collect(places, scales, begin, atoms, pair, offset, seen, chosen, apart, scaled)
            if not count:
                continue
            _hidden(scaled, slope, shift, height, inside, inside_bias, features, hidden)
            for p in range(0, across * BLOCK, LANES):
                store(hidden, p, _gelu(load(hidden, p))[0])
            for head in range(heads):
                results[head * BLOCK : (head + 1) * BLOCK] = outside_bias[head]
            add_product(outside, 0, across, 1, hidden, 0, BLOCK, results, 0, BLOCK, heads, across, BLOCK)
            for head in range(heads):
                for p in range(count):
                    biases[head, pair + chosen[p]] += results[head * BLOCK + p]


@njit(cache=True, nogil=True, fastmath=FAST)
def pair_biases_backward(
    places: Array,
    scales: Array,
    atom_starts: Array,
    pair_starts: Array,
    seen: Array,
    codes: Array,
    slope: Array,
    shift: Array,
    height: Array,
    inside: Array,
    inside_bias: Array,
    outside: Array,
    first: int,
    last: int,
    by_biases: Array,  # fp32 [H, P]
    by_table: Array,  # fp32 [H, U]
    by_scales: Array,  # fp32 [A, 4]
    by_kernels: Array,  # fp32 [3, K]
    by_inside: Array,  # fp32 [C * K padded to lanes]
    by_inside_bias: Array,  # fp32 [C]
    by_outside: Array,  # fp32 [H * C padded to lanes]
    by_outside_bias: Array,  # fp32 [H]
) -> None:
    """Gradients of :func:`pair_biases`, added to what the last eight arrays but ``by_biases`` hold.

    Args:
        places: as there, as are all up to ``last``.
        scales: of atoms.
        atom_starts: first atom of every molecule.
        pair_starts: first pair of every molecule.
        seen: which pairs show their distance.
        codes: of pairs.
        slope: of the kernels.
        shift: of the kernels.
        height: of the kernels.
        inside: weights of the hidden features.
        inside_bias: of the hidden features.
        outside: weights of the biases.
        first: molecule.
        last: molecule, not included.
        by_biases: gradient of the biases.
        by_table: that of the table.
        by_scales: that of ``scales``.
        by_kernels: those of slope, shift and the logarithm of the height.
        by_inside: that of ``inside``.
        by_inside_bias: that of ``inside_bias``.
        by_outside: that of ``outside``.
        by_outside_bias: of what every bias of a distance begins with.
    """
    heads, kernels, across = by_outside_bias.size, slope.size, inside_bias.size
    wide, tall = by_inside.size // across, by_outside.size // heads
    chosen = np.empty(BLOCK, np.int64)
    apart, scaled = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    by_scaled = np.empty(BLOCK, np.float32)
    features, hidden = np.empty(kernels * BLOCK, np.float32), np.empty(across * BLOCK, np.float32)
    by_features, by_hidden = np.empty_like(features), np.empty_like(hidden)
    turned, turned_hidden = np.zeros(BLOCK * wide, np.float32), np.zeros(BLOCK * tall, np.float32)
    grads = np.empty(heads * BLOCK, np.float32)
    for head in range(heads):
        for pair in range(pair_starts[first], pair_starts[last]):
            by_table[head, codes[pair]] += by_biases[head, pair]
    for molecule in range(first, last):
        begin, pair, offset = atom_starts[molecule], pair_starts[molecule], 0
        atoms = atom_starts[molecule + 1] - begin
        while offset < atoms * atoms:
            count, offset = _collect(places, scales, begin, atoms, pair, offset, seen, chosen, apart, scaled)
            if not count:
                continue
            _hidden(scaled, slope, shift, height, inside, inside_bias, features, hidden)
            grads[:] = _ZERO
            for head in range(heads):
                summed = _ZERO
                for p in range(count):
                    value = by_biases[head, pair + chosen[p]]
                    grads[head * BLOCK + p] = value
                    summed += value
                by_outside_bias[head] += summed
            by_hidden[:] = _ZERO
            add_product(outside, 0, 1, across, grads, 0, BLOCK, by_hidden, 0, BLOCK, across, heads, BLOCK)
            for c in range(across):
                summed = spread(_ZERO)
                for p in range(c * BLOCK, (c + 1) * BLOCK, LANES):
                    value, slant = _gelu(load(hidden, p))
                    store(hidden, p, value)
                    grad = times(load(by_hidden, p), slant)
                    store(by_hidden, p, grad)
                    summed = plus(summed, grad)
                by_inside_bias[c] += total(summed)
                for p in range(BLOCK):
                    turned_hidden[p * tall + c] = hidden[c * BLOCK + p]
            for k in range(kernels):
                for p in range(BLOCK):
                    turned[p * wide + k] = features[k * BLOCK + p]
            add_product(grads, 0, BLOCK, 1, turned_hidden, 0, tall, by_outside, 0, tall, heads, BLOCK, tall)
            add_product(by_hidden, 0, BLOCK, 1, turned, 0, wide, by_inside, 0, wide, across, BLOCK, wide)
            by_features[:] = _ZERO
            add_product(
                inside, 0, 1, kernels, by_hidden, 0, BLOCK, by_features, 0, BLOCK, kernels, across, BLOCK
            )
            by_scaled[:] = _ZERO
            for k in range(kernels):
                _kernel_backward(
                    k, BLOCK, scaled, slope, shift, height, features, by_features, by_scaled, by_kernels
                )
            for p in range(count):
                i, j = begin + chosen[p] // atoms, begin + chosen[p] % atoms
                by_scales[i, 0] += by_scaled[p] * apart[p]
                by_scales[j, 1] += by_scaled[p] * apart[p]
                by_scales[i, 2] += by_scaled[p]
                by_scales[j, 3] += by_scaled[p]


@njit(inline="always")
def _kernel_backward(
    k: int,
    count: int,
    scaled: Array,
    slope: Array,
    shift: Array,
    height: Array,
    features: Array,
    by_features: Array,
    by_scaled: Array,
    by_kernels: Array,
) -> None:
    """Gradients of one kernel's features [count] of pairs, by distance and by the kernel's three numbers."""
    by, to = spread(slope[k]), spread(shift[k])
    of_slope, of_shift, of_height = spread(_ZERO), spread(_ZERO), spread(_ZERO)
    for p in range(0, count, LANES):
        x = load(scaled, p)
        u = larger(spread(-LARGEST), smaller(spread(LARGEST), muladd(x, by, to)))
        of = times(load(by_features, k * count + p), load(features, k * count + p))
        slant = times(times(of, u), spread(_MINUS_TWO))
        store(by_scaled, p, muladd(slant, by, load(by_scaled, p)))
        of_slope, of_shift, of_height = muladd(slant, x, of_slope), plus(of_shift, slant), plus(of_height, of)
    by_kernels[0, k] += total(of_slope)
    by_kernels[1, k] += total(of_shift)
    by_kernels[2, k] += total(of_height)
