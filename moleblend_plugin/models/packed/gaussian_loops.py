"""Gaussian features of distances, compiled for a CPU: of a pair, and summed over an atom's molecule.

A atoms of all molecules, K Gaussian kernels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from moleblend_plugin.schema import Array
from moleblend_plugin.simd.vectors import (
    FAST,
    LANES,
    Vector,
    exponentials,
    larger,
    load,
    minus,
    muladd,
    plus,
    smaller,
    spread,
    store,
    times,
    total,
)

FAR = np.float32(1e9)
"""A distance at which every feature is 0."""

LARGEST = np.float32(8.0)
"""Bound of ``u``, as in ``relations``."""

_ZERO, _MINUS_TWO = np.float32(0), np.float32(-2)


@njit(inline="always")
def gaussian(x: Vector, slope: Vector, shift: Vector, height: Vector) -> tuple[Vector, Vector]:
    """``height * exp(-u^2)`` and ``u = slope x + shift``, bounded."""
    u = muladd(x, slope, shift)
    u = larger(spread(-LARGEST), smaller(spread(LARGEST), u))
    return times(height, exponentials(minus(spread(_ZERO), times(u, u)))), u


@njit(inline="always")
def apart_by(places: Array, i: int, j: int) -> float:
    """Distance of two atoms."""
    x, y, z = places[j, 0] - places[i, 0], places[j, 1] - places[i, 1], places[j, 2] - places[i, 2]
    return np.sqrt(x * x + y * y + z * z)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, fastmath=FAST)
def _scaled_row(
    places: Array, scales: Array, i: int, begin: int, atoms: int, padded: int, scaled: Array
) -> None:
    """Scaled distances of one atom to those of its molecule, itself included."""
    for offset in range(atoms):
        j = begin + offset
        scaled[offset] = (scales[i, 0] + scales[j, 1]) * apart_by(places, i, j) + (
            scales[i, 2] + scales[j, 3]
        )
    for offset in range(atoms, padded):
        scaled[offset] = FAR


@njit(cache=True, nogil=True, fastmath=FAST)
def feature_sums(
    places: Array,
    scales: Array,
    atom_starts: Array,
    seen: Array,  # uint8 [A]
    slope: Array,
    shift: Array,
    height: Array,
    first: int,
    last: int,
    sums: Array,  # fp32 [A, K]
) -> None:
    """Gaussian features of an atom's distances, summed over its molecule; of atoms that are not seen nothing.

    Args:
        places: of atoms, in Angstrom.
        scales: what an atom adds to the scale of a distance, as the first atom of its pair and as the second,
            and to its shift.
        atom_starts: first atom of every molecule.
        seen: which atoms have them.
        slope: of the kernels.
        shift: of the kernels.
        height: of the kernels.
        first: molecule.
        last: molecule, not included.
        sums: receives them.
    """
    widest = 0
    for molecule in range(first, last):
        widest = max(widest, atom_starts[molecule + 1] - atom_starts[molecule])
    scaled = np.empty(-(-widest // LANES) * LANES, np.float32)
    for molecule in range(first, last):
        begin, end = atom_starts[molecule], atom_starts[molecule + 1]
        padded = -(-(end - begin) // LANES) * LANES
        for i in range(begin, end):
            if not seen[i]:
                continue
            _scaled_row(places, scales, i, begin, end - begin, padded, scaled)
            for k in range(slope.size):
                by, to, of, summed = spread(slope[k]), spread(shift[k]), spread(height[k]), spread(_ZERO)
                for p in range(0, padded, LANES):
                    summed = plus(summed, gaussian(load(scaled, p), by, to, of)[0])
                sums[i, k] = total(summed)


@njit(cache=True, nogil=True, fastmath=FAST)
def feature_sums_backward(
    places: Array,
    scales: Array,
    atom_starts: Array,
    seen: Array,
    slope: Array,
    shift: Array,
    height: Array,
    first: int,
    last: int,
    by_sums: Array,  # fp32 [A, K]
    by_scales: Array,  # fp32 [A, 4]
    by_kernels: Array,  # fp32 [3, K]
) -> None:
    """Gradients of :func:`feature_sums`, added to ``by_scales`` and ``by_kernels``.

    Args:
        places: as there, as are all up to ``last``.
        scales: of atoms.
        atom_starts: first atom of every molecule.
        seen: which atoms have them.
        slope: of the kernels.
        shift: of the kernels.
        height: of the kernels.
        first: molecule.
        last: molecule, not included.
        by_sums: gradient of the sums.
        by_scales: that of ``scales``.
        by_kernels: those of slope, shift and the logarithm of the height.
    """
    widest = 0
    for molecule in range(first, last):
        widest = max(widest, atom_starts[molecule + 1] - atom_starts[molecule])
    most = -(-widest // LANES) * LANES
    scaled, by_scaled = np.empty(most, np.float32), np.empty(most, np.float32)
    for molecule in range(first, last):
        begin, end = atom_starts[molecule], atom_starts[molecule + 1]
        padded = -(-(end - begin) // LANES) * LANES
        for i in range(begin, end):
            if not seen[i]:
                continue
            _scaled_row(places, scales, i, begin, end - begin, padded, scaled)
            by_scaled[:padded] = _ZERO
            for k in range(slope.size):
                by, to, of, grad = (
                    spread(slope[k]),
                    spread(shift[k]),
                    spread(height[k]),
                    spread(by_sums[i, k]),
                )
                of_slope, of_shift, of_height = spread(_ZERO), spread(_ZERO), spread(_ZERO)
                for p in range(0, padded, LANES):
                    x = load(scaled, p)
                    feature, u = gaussian(x, by, to, of)
                    raised = times(grad, feature)
                    slant = times(times(raised, u), spread(_MINUS_TWO))
                    store(by_scaled, p, muladd(slant, by, load(by_scaled, p)))
                    of_slope, of_shift = muladd(slant, x, of_slope), plus(of_shift, slant)
                    of_height = plus(of_height, raised)
                by_kernels[0, k] += total(of_slope)
                by_kernels[1, k] += total(of_shift)
                by_kernels[2, k] += total(of_height)
            for offset in range(end - begin):
                distance = apart_by(places, i, begin + offset)
                by_scales[i, 0] += by_scaled[offset] * distance
                by_scales[begin + offset, 1] += by_scaled[offset] * distance
                by_scales[i, 2] += by_scaled[offset]
                by_scales[begin + offset, 3] += by_scaled[offset]
