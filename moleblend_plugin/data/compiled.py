"""Small loops over the atoms and bonds of one molecule, compiled: calls of NumPy cost more than their work.

N atoms, M bonds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from moleblend_plugin.schema import Float32Array, Float64Array, UInt8Array, UInt16Array


@njit(cache=True, nogil=True)
def pick(uniform: Float32Array, bounds: Float64Array, codes: UInt8Array) -> UInt8Array:
    """The code of the interval that every draw falls into, [len(uniform)].

    Args:
        uniform: draws in [0, 1), one axis.
        bounds: upper ends of the intervals, rising to 1.
        codes: one per interval.
    """
    chosen = np.empty(uniform.size, np.uint8)
    for place in range(uniform.size):
        interval = 0
        while uniform[place] >= bounds[interval]:
            interval += 1
        chosen[place] = codes[interval]
    return chosen


@njit(cache=True, nogil=True)
def bond_codes_and_degree(
    n_atoms: int, bonds: UInt16Array, parts: UInt8Array, table: UInt8Array, largest: int
) -> tuple[UInt8Array, UInt8Array]:
    """Batch codes of bonds uint8 [M] and of degrees uint8 [N].

    Args:
        n_atoms: N.
        bonds: [M, 2], each bond once.
        parts: [M, 3], type, stereo and conjugated.
        table: batch code by these three.
        largest: degrees are cut here.
    """
    codes = np.empty(len(bonds), np.uint8)
    degree = np.zeros(n_atoms, np.int64)
    for bond in range(len(bonds)):
        codes[bond] = table[parts[bond, 0], parts[bond, 1], parts[bond, 2]]
        degree[bonds[bond, 0]] += 1
        degree[bonds[bond, 1]] += 1
    degree_codes = np.empty(n_atoms, np.uint8)
    for atom in range(n_atoms):
        degree_codes[atom] = min(degree[atom], largest) + 1
    return codes, degree_codes


@njit(cache=True, nogil=True)
def all_below(codes: UInt8Array | UInt16Array, sizes: UInt8Array | UInt16Array) -> bool:
    """Whether every number of ``codes`` [M, F] is below the size of its column, ``sizes`` [F]."""
    for row in range(codes.shape[0]):
        for column in range(codes.shape[1]):
            if codes[row, column] >= sizes[column]:
                return False
    return True
