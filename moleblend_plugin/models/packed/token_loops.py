"""What a layer does to each token besides products of matrices, compiled for a CPU: one pass over memory.

S tokens, D width, F width of the feed-forward block; both are multiples of ``LANES``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from moleblend_plugin.schema import Array
from moleblend_plugin.simd.vectors import (
    FAST,
    LANES,
    Vector,
    dropped_out,
    exponentials,
    load,
    magnitude,
    minus,
    muladd,
    over,
    plus,
    signed_like,
    spread,
    store,
    stream_of,
    times,
    total,
)

_ZERO = np.float32(0.0)
_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_MINUS_HALF = np.float32(-0.5)
_ROOT_HALF = np.float32(np.sqrt(0.5))
_DENSITY = np.float32(1 / np.sqrt(2 * np.pi))

_ERF_P = np.float32(0.3275911)
_ERF_1 = np.float32(0.254829592)
_ERF_2 = np.float32(-0.284496736)
_ERF_3 = np.float32(1.421413741)
_ERF_4 = np.float32(-1.453152027)
_ERF_5 = np.float32(1.061405429)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def add_and_normalize(
    x: Array,  # fp32 [S, D]
    branch: Array,  # fp32 [S, D]
    weight: Array,  # fp32 [D]
    shift: Array,  # fp32 [D]
    epsilon: float,  # fp32
    seed: int,
    dropped: int,
    rescale: float,  # fp32
    first: int,
    last: int,
    out: Array,  # fp32 [S, D]
    normal: Array,  # fp32 [S, D]
    scales: Array,  # fp32 [S]
) -> None:
    """Tokens ``first`` to ``last``: LayerNorm(x + dropout(branch)).

    Args:
        x: states.
        branch: what is added to them.
        weight: of the norm.
        shift: its bias.
        epsilon: added to the variance.
        seed: of the draws of dropout.
        dropped: of 2 ** 32 draws.
        rescale: of what is kept.
        first: token.
        last: token, not included.
        out: receives the values.
        normal: receives those before weight and shift.
        scales: receives reciprocals of standard deviations.
    """
    width = weight.size
    flat, added, given, made = x.reshape(-1), branch.reshape(-1), out.reshape(-1), normal.reshape(-1)
    kept = spread(rescale)
    for token in range(first, last):
        row, stream = token * width, stream_of(seed, token)
        summed = spread(_ZERO)
        for j in range(0, width, LANES):
            part = load(added, row + j)
            if dropped:
                part = dropped_out(times(part, kept), stream, j, dropped)
            value = plus(load(flat, row + j), part)
            store(made, row + j, value)
            summed = plus(summed, value)
        mean = spread(total(summed) / np.float32(width))
        squares = spread(_ZERO)
        for j in range(0, width, LANES):
            off = minus(load(made, row + j), mean)
            squares = muladd(off, off, squares)
        scale = _ONE / np.sqrt(total(squares) / np.float32(width) + epsilon)
        scales[token] = scale
        factor = spread(scale)
        for j in range(0, width, LANES):
            value = times(minus(load(made, row + j), mean), factor)
            store(made, row + j, value)
            store(given, row + j, muladd(value, load(weight, j), load(shift, j)))


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def add_and_normalize_backward(
    weight: Array,
    seed: int,
    dropped: int,
    rescale: float,
    first: int,
    last: int,
    normal: Array,
    scales: Array,
    by_out: Array,  # fp32 [S, D]
    by_x: Array,  # fp32 [S, D]
    by_branch: Array,  # fp32 [S, D], or [0, D] without dropout
    by_weight: Array,  # fp32 [D], zeros
    by_shift: Array,  # fp32 [D], zeros
) -> None:
    """Gradients of :func:`add_and_normalize`.

    Args:
        weight: as there, as are all up to ``scales``.
        seed: of the draws of dropout.
        dropped: of 2 ** 32 draws.
        rescale: of what is kept.
        first: token.
        last: token, not included.
        normal: what it gave.
        scales: what it gave.
        by_out: gradient of ``out``.
        by_x: receives that of ``x``.
        by_branch: receives that of ``branch``, which is ``by_x`` without dropout.
        by_weight: that of ``weight`` is added.
        by_shift: that of ``shift`` is added.
    """
    width = weight.size
    made, given = normal.reshape(-1), by_out.reshape(-1)
    flat, added = by_x.reshape(-1), by_branch.reshape(-1)
    kept, share = spread(rescale), np.float32(1.0 / width)
    for token in range(first, last):
        row, stream = token * width, stream_of(seed, token)
        along, summed = spread(_ZERO), spread(_ZERO)
        for j in range(0, width, LANES):
            grad, value = load(given, row + j), load(made, row + j)
            store(by_weight, j, muladd(grad, value, load(by_weight, j)))
            store(by_shift, j, plus(grad, load(by_shift, j)))
            grad = times(grad, load(weight, j))
            summed = plus(summed, grad)
            along = muladd(grad, value, along)
        mean, slope = spread(total(summed) * share), spread(total(along) * share)
        factor = spread(scales[token])
        for j in range(0, width, LANES):
            grad = minus(times(load(given, row + j), load(weight, j)), mean)
            grad = times(minus(grad, times(load(made, row + j), slope)), factor)
            store(flat, row + j, grad)
            if dropped:
                store(added, row + j, dropped_out(times(grad, kept), stream, j, dropped))


@njit(inline="always")
def _cumulative(x: Vector, bell: Vector) -> Vector:
    """Probability that a standard normal number is at most ``x``; ``bell`` is exp(-x² / 2).

    Its error is below 1e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26).
    """
    one = spread(_ONE)
    t = over(one, muladd(magnitude(x), spread(_ERF_P * _ROOT_HALF), one))
    high = muladd(spread(_ERF_5), t, spread(_ERF_4))
    high = muladd(high, t, spread(_ERF_3))
    high = muladd(high, t, spread(_ERF_2))
    high = muladd(high, t, spread(_ERF_1))
    error = signed_like(minus(one, times(times(high, t), bell)), x)
    return muladd(error, spread(_HALF), spread(_HALF))


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def gelu(
    x: Array,  # fp32 [S, F]
    seed: int,
    dropped: int,
    rescale: float,  # fp32
    first: int,
    last: int,
    out: Array,  # fp32 [S, F]
) -> None:
    """Tokens ``first`` to ``last``: dropout(gelu(x)).

    Args:
        x: states.
        seed: of the draws of dropout.
        dropped: of 2 ** 32 draws.
        rescale: of what is kept.
        first: token.
        last: token, not included.
        out: receives the values.
    """
    width = x.shape[1]
    flat, given = x.reshape(-1), out.reshape(-1)
    kept, half = spread(rescale), spread(_MINUS_HALF)
    for token in range(first, last):
        row, stream = token * width, stream_of(seed, token)
        for j in range(0, width, LANES):
            value = load(flat, row + j)
            bell = exponentials(times(times(value, value), half))
            value = times(value, _cumulative(value, bell))
            if dropped:
                value = dropped_out(times(value, kept), stream, j, dropped)
            store(given, row + j, value)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def gelu_backward(
    x: Array,
    seed: int,
    dropped: int,
    rescale: float,
    first: int,
    last: int,
    by_out: Array,  # fp32 [S, F]
    by_x: Array,  # fp32 [S, F]
    out: Array,  # fp32 [S, F]
) -> None:
    """Gradient of :func:`gelu`, and its values again.

    Args:
        x: as there, as are all up to ``last``.
        seed: of the draws of dropout.
        dropped: of 2 ** 32 draws.
        rescale: of what is kept.
        first: token.
        last: token, not included.
        by_out: gradient of ``out``.
        by_x: receives that of ``x``.
        out: receives the values.
    """
    width = x.shape[1]
    flat, given, made, again = x.reshape(-1), by_out.reshape(-1), by_x.reshape(-1), out.reshape(-1)
    half, density = spread(_MINUS_HALF), spread(_DENSITY)
    for token in range(first, last):
        row, stream = token * width, stream_of(seed, token)
        for j in range(0, width, LANES):
            value, kept = load(flat, row + j), spread(rescale)
            if dropped:
                kept = dropped_out(kept, stream, j, dropped)
            bell = exponentials(times(times(value, value), half))
            below = _cumulative(value, bell)
            slope = muladd(times(value, density), bell, below)
            store(made, row + j, times(times(load(given, row + j), kept), slope))
            store(again, row + j, times(times(value, below), kept))
