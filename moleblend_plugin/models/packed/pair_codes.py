"""Pairs of atoms numbered by what their relations read of them: most pairs are like others of the batch.

B molecules, N atoms, P ordered pairs of atoms of all molecules, U pairs that differ.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from moleblend_plugin.schema import PATH_HOPS, Array


@njit(cache=True, nogil=True)
def number_pairs(
    spd: Array,  # uint8 [B, N, N]
    bond_path: Array,  # uint8 [B, N, N, 5]
    shown: Array,  # uint8 [B, N, N]
    bits: int,
    atoms: Array,  # int64, the places of atoms in their molecules
    atom_starts: Array,  # int64 [B + 1]
    codes: Array,  # int32 [P]
    examples: Array,  # int64 [P]
) -> int:
    """Give equal pairs the same number, counted from 0 in the order in which they come; gives U.

    Args:
        spd: path lengths.
        bond_path: bonds on paths.
        shown: relations that pairs show.
        bits: those of ``shown`` that read path and bonds; of a pair without any these do not matter.
        atoms: of all molecules, one after another.
        atom_starts: first atom of every molecule.
        codes: receives the number of every pair.
        examples: receives a place of [B * N * N] for each of the numbers.
    """
    size = 1024
    keys, numbers = np.empty(size, np.uint64), np.full(size, -1, np.int32)
    found, pair, length = 0, 0, spd.shape[1]
    for molecule in range(spd.shape[0]):
        begin, end = atom_starts[molecule], atom_starts[molecule + 1]
        for row in range(begin, end):
            i = atoms[row]
            for column in range(begin, end):
                j = atoms[column]
                key = np.uint64(shown[molecule, i, j] & bits)
                if key:
                    key = key << np.uint64(8) | np.uint64(spd[molecule, i, j])
                    for hop in range(PATH_HOPS):
                        key = key << np.uint64(8) | np.uint64(bond_path[molecule, i, j, hop])
                slot = _slot(keys, numbers, key)
                if numbers[slot] < 0:
                    keys[slot], numbers[slot] = key, found
                    examples[found] = (molecule * length + i) * length + j
                    found += 1
                codes[pair] = numbers[slot]
                pair += 1
                if 2 * found > size:
                    size *= 2
                    keys, numbers = _larger(keys, numbers, size)
    return found


@njit(cache=True, nogil=True)
def _slot(keys: Array, numbers: Array, key: int) -> int:
    """Where ``key`` is, or would be."""
    last = np.uint64(keys.size - 1)
    slot = ((key ^ (key >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)) & last
    while numbers[slot] >= 0 and keys[slot] != key:
        slot = (slot + np.uint64(1)) & last
    return int(slot)


@njit(cache=True, nogil=True)
def _larger(keys: Array, numbers: Array, size: int) -> tuple[Array, Array]:
    """The same in a table of ``size`` slots."""
    more, given = np.empty(size, np.uint64), np.full(size, -1, np.int32)
    for place in range(keys.size):
        if numbers[place] >= 0:
            slot = _slot(more, given, keys[place])
            more[slot], given[slot] = keys[place], numbers[place]
    return more, given
