"""Shortest paths on the bond graph and the first bonds along them, compiled.

Tie-break between equally short paths: intermediate atoms are tried in ascending order (Floyd-Warshall)
and a path is replaced only by a strictly shorter one. This is the rule of the published code, so that
bond paths agree with it; it depends on atom order, as any rule over canonical indices does.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from moleblend_plugin.schema import PATH_HOPS, UInt8Array, UInt16Array
from moleblend_plugin.vocab import SPD

_LARGEST = SPD.largest
_UNREACHABLE = SPD.encode(None)
_FAR = 1 << 29  # twice this still fits an int32


@njit(cache=True, nogil=True)
def _floyd_warshall(
    n_atoms: int, bonds: UInt16Array, bond_codes: UInt8Array, spd: UInt8Array, path: UInt8Array
) -> None:
    """Fill ``spd`` [N, N] and ``path`` [N, N, P] in place; both arrive zeroed."""
    distance = np.full((n_atoms, n_atoms), _FAR, np.int32)
    for atom in range(n_atoms):
        distance[atom, atom] = 0
    for bond in range(bonds.shape[0]):
        i, j = bonds[bond, 0], bonds[bond, 1]
        distance[i, j] = distance[j, i] = 1
        path[i, j, 0] = path[j, i, 0] = bond_codes[bond]

    hops = path.shape[2]
    for k in range(n_atoms):
        for i in range(n_atoms):
            to_k = distance[i, k]
            if to_k == 0 or to_k == _FAR:
                continue
            for j in range(n_atoms):
                through_k = to_k + distance[k, j]
                if through_k < distance[i, j]:
                    distance[i, j] = through_k
                    for hop in range(hops):
                        path[i, j, hop] = path[i, k, hop] if hop < to_k else path[k, j, hop - to_k]

    for i in range(n_atoms):
        for j in range(n_atoms):
            if distance[i, j] == _FAR:
                spd[i, j] = _UNREACHABLE
            else:
                spd[i, j] = min(distance[i, j], _LARGEST) + 1


def shortest_paths(n_atoms: int, bonds: UInt16Array, bond_codes: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Path lengths and bond paths of one molecule.

    Args:
        n_atoms: N.
        bonds: [M, 2], each bond once.
        bond_codes: [M], batch bond codes (``vocab.BOND``).

    Returns:
        ``spd`` uint8 [N, N] (``vocab.SPD``) and ``bond_path`` uint8 [N, N, P] (``vocab.BOND``), the first
        P bonds walking from i to j; 0 where the path has fewer bonds or none exists.
    """
    spd = np.zeros((n_atoms, n_atoms), np.uint8)
    path = np.zeros((n_atoms, n_atoms, PATH_HOPS), np.uint8)
    _floyd_warshall(n_atoms, bonds, bond_codes, spd, path)
    return spd, path
