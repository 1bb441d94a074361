"""Degrees, shortest paths on the bond graph and the first bonds along them, compiled.

Between equally short paths there are two rules. That of the published code tries intermediate atoms in
ascending order (Floyd-Warshall) and replaces a path only by a strictly shorter one, so it depends on the
order of atoms. :func:`invariant_paths` takes the path whose codes come first when compared bond by bond.
"""

from __future__ import annotations

import numpy as np

from moleblend_plugin.data.loop import loop
from moleblend_plugin.schema import PATH_HOPS, UInt8Array, UInt16Array
from moleblend_plugin.vocab import DEGREE, SPD

_LARGEST = SPD.largest
_LARGEST_DEGREE = DEGREE.largest
_UNREACHABLE = SPD.encode(None)
_FAR = 1 << 29  # twice this still fits an int32
_HOPS = PATH_HOPS
_FIRST_HOPS = np.uint64((1 << 8 * PATH_HOPS) - 1)


@loop
def _joined(head: np.uint64, length: int, tail: np.uint64) -> np.uint64:
    """The first P codes of ``head`` (``length`` bonds) and then ``tail``: a byte each, the first lowest."""
    if length >= _HOPS:
        return head
    return (head | tail << np.uint64(8 * length)) & _FIRST_HOPS


@loop
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


@loop
def invariant_paths(
    bonds: UInt16Array, bond_codes: UInt8Array, spd: UInt8Array, bond_path: UInt8Array
) -> None:
    """Like :func:`shortest_paths`, but of equally short paths the one with the lowest codes from i on.

    So a pair's path does not depend on the order of atoms; that from j to i may be another one.

    Args:
        bonds: [M, 2], each bond once.
        bond_codes: [M], batch bond codes (``vocab.BOND``).
        spd: receives lengths, [N, N] (``vocab.SPD``).
        bond_path: receives the first P bonds walking from i to j, [N, N, P] (``vocab.BOND``).
    """
    n_atoms, n_bonds = len(spd), len(bonds)
    first = np.zeros(n_atoms + 1, np.int64)  # of each atom's bonds in ``other`` and ``kind``
    for bond in range(n_bonds):
        for end in range(2):
            first[bonds[bond, end] + 1] += 1
    first = np.cumsum(first)
    place = first.copy()
    other, kind = np.empty(2 * n_bonds, np.int64), np.empty(2 * n_bonds, np.uint64)
    for bond in range(n_bonds):
        for end in range(2):
            atom = bonds[bond, end]
            other[place[atom]], kind[place[atom]] = bonds[bond, 1 - end], np.uint64(bond_codes[bond])
            place[atom] += 1
    queue, distance = np.empty(n_atoms, np.int64), np.empty(n_atoms, np.int64)
    best = np.empty(n_atoms, np.uint64)  # codes from an atom to j, the first in the highest of P bytes
    for j in range(n_atoms):
        distance[:] = -1
        best[:] = _FIRST_HOPS
        distance[j], best[j], queue[0], known = 0, 0, j, 1
        for done in range(n_atoms):
            if done == known:
                break
            atom = queue[done]  # all that are nearer to j were here before: its best is final
            for bond in range(first[atom], first[atom + 1]):
                i = other[bond]
                if distance[i] < 0:
                    distance[i] = distance[atom] + 1
                    queue[known] = i
                    known += 1
                if distance[i] == distance[atom] + 1:
                    walk = kind[bond] << np.uint64(8 * (_HOPS - 1)) | best[atom] >> np.uint64(8)
                    best[i] = min(best[i], walk)
        for i in range(n_atoms):
            far = distance[i] < 0
            spd[i, j] = _UNREACHABLE if far else min(distance[i], _LARGEST) + 1
            for hop in range(_HOPS):
                shift = np.uint64(8 * (_HOPS - 1 - hop))
                bond_path[i, j, hop] = 0 if far else best[i] >> shift & np.uint64(255)


@loop
def relations_2d(
    bonds: UInt16Array,
    parts: UInt8Array,
    table: UInt8Array,
    degree: UInt8Array,
    spd: UInt8Array,
    bond_path: UInt8Array,
    by_codes: bool,
) -> None:
    """Write the batch codes of degrees, lengths and bonds of paths.

    Args:
        bonds: [M, 2], each bond once.
        parts: [M, 3], type, stereo and conjugated of each bond.
        table: batch code of a bond by these three.
        degree: receives codes, [N] (``vocab.DEGREE``).
        spd: receives [N, N].
        bond_path: receives [N, N, P].
        by_codes: whether ties are broken by :func:`invariant_paths`, else by :func:`shortest_paths`.
    """
    codes = np.empty(len(bonds), np.uint8)
    neighbours = np.zeros(len(degree), np.int64)
    for bond in range(len(bonds)):
        codes[bond] = table[parts[bond, 0], parts[bond, 1], parts[bond, 2]]
        neighbours[bonds[bond, 0]] += 1
        neighbours[bonds[bond, 1]] += 1
    for atom in range(len(degree)):
        degree[atom] = min(neighbours[atom], _LARGEST_DEGREE) + 1
    if by_codes:
        invariant_paths(bonds, codes, spd, bond_path)
    else:
        shortest_paths(bonds, codes, spd, bond_path)
