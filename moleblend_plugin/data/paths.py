"""Degrees, shortest paths on the bond graph and the first bonds along them, compiled.

Tie-break between equally short paths: intermediate atoms are tried in ascending order (Floyd-Warshall)
and a path is replaced only by a strictly shorter one. This is the rule of the published code, so that
bond paths agree with it; it depends on atom order, as any rule over canonical indices does.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from moleblend_plugin.schema import PATH_HOPS, UInt8Array, UInt16Array
from moleblend_plugin.vocab import DEGREE, SPD

_LARGEST = SPD.largest
_LARGEST_DEGREE = DEGREE.largest
_UNREACHABLE = SPD.encode(None)
_FAR = 1 << 29  # twice this still fits an int32
_HOPS = PATH_HOPS
_FIRST_HOPS = np.uint64((1 << 8 * PATH_HOPS) - 1)


@njit(cache=True, nogil=True)
def _joined(head: np.uint64, length: int, tail: np.uint64) -> np.uint64:
    """The first P codes of ``head`` (``length`` bonds) and then ``tail``: a byte each, the first lowest."""
    if length >= _HOPS:
        return head
    return (head | tail << np.uint64(8 * length)) & _FIRST_HOPS


@njit(cache=True, nogil=True)
def shortest_paths(
    bonds: UInt16Array, bond_codes: UInt8Array, spd: UInt8Array, bond_path: UInt8Array
) -> None:
    """Write path lengths and bond paths of one molecule.

    A bond leads both ways, so each pair is visited once and written in both directions.

    Args:
        bonds: [M, 2], each bond once.
        bond_codes: [M], batch bond codes (``vocab.BOND``).
        spd: receives lengths, [N, N] (``vocab.SPD``).
        bond_path: receives the first P bonds walking from i to j, [N, N, P] (``vocab.BOND``); 0 where the
            path has fewer bonds or none exists.
    """
    n_atoms = len(spd)
    distance = np.full((n_atoms, n_atoms), _FAR, np.int32)
    codes = np.zeros((n_atoms, n_atoms), np.uint64)
    for atom in range(n_atoms):
        distance[atom, atom] = 0
    for bond in range(bonds.shape[0]):
        i, j = bonds[bond, 0], bonds[bond, 1]
        distance[i, j] = distance[j, i] = 1
        codes[i, j] = codes[j, i] = bond_codes[bond]

    for k in range(n_atoms):
        for i in range(n_atoms):
            to_k = distance[i, k]
            if to_k == 0 or to_k == _FAR:
                continue
            for j in range(i):
                from_k = distance[k, j]
                if to_k + from_k < distance[i, j]:
                    distance[i, j] = distance[j, i] = to_k + from_k
                    codes[i, j] = _joined(codes[i, k], to_k, codes[k, j])
                    codes[j, i] = _joined(codes[j, k], from_k, codes[k, i])

    for i in range(n_atoms):
        for j in range(n_atoms):
            far = distance[i, j] == _FAR
            spd[i, j] = _UNREACHABLE if far else min(distance[i, j], _LARGEST) + 1
            for hop in range(_HOPS):
                bond_path[i, j, hop] = codes[i, j] >> np.uint64(8 * hop) & np.uint64(255)


@njit(cache=True, nogil=True)
def relations_2d(
    bonds: UInt16Array,
    parts: UInt8Array,
    table: UInt8Array,
    degree: UInt8Array,
    spd: UInt8Array,
    bond_path: UInt8Array,
) -> None:
    """Write the batch codes of degrees, and what :func:`shortest_paths` writes.

    Args:
        bonds: [M, 2], each bond once.
        parts: [M, 3], type, stereo and conjugated of each bond.
        table: batch code of a bond by these three.
        degree: receives codes, [N] (``vocab.DEGREE``).
        spd: receives [N, N].
        bond_path: receives [N, N, P].
    """
    codes = np.empty(len(bonds), np.uint8)
    neighbours = np.zeros(len(degree), np.int64)
    for bond in range(len(bonds)):
        codes[bond] = table[parts[bond, 0], parts[bond, 1], parts[bond, 2]]
        neighbours[bonds[bond, 0]] += 1
        neighbours[bonds[bond, 1]] += 1
    for atom in range(len(degree)):
        degree[atom] = min(neighbours[atom], _LARGEST_DEGREE) + 1
    shortest_paths(bonds, codes, spd, bond_path)
