"""Small loops over the atoms and bonds of one molecule, compiled: calls of NumPy cost more than their work.

They write into arrays that the caller makes, as Numba takes a microsecond to hand over a new one. N atoms,
M bonds.
"""

from __future__ import annotations

from moleblend_plugin.data.loop import loop
from moleblend_plugin.data.philox import uniform
from moleblend_plugin.data.rng import Purpose
from moleblend_plugin.schema import Float32Array, Float64Array, UInt8Array, UInt16Array

_PAIRS, _ATOMS = int(Purpose.PAIRS), int(Purpose.ATOMS)


@loop(python=False)
def pick(draws: Float32Array, bounds: Float64Array, codes: UInt8Array, chosen: UInt8Array) -> None:
    """Write the code of the interval that every draw falls into.

    Args:
        draws: numbers in [0, 1), one axis.
        bounds: upper ends of the intervals, rising to 1; none where nothing can be chosen, which is code 0.
        codes: one per interval.
        chosen: receives the codes, [len(draws)].
    """
    for place in range(draws.size):
        interval = 0
        while interval < bounds.size and draws[place] >= bounds[interval]:
            interval += 1
        chosen[place] = codes[interval] if bounds.size else 0


@loop(python=False)
def draw_shown(
    seed: int,
    epoch: int,
    index: int,
    pair_bounds: Float64Array,
    pair_codes: UInt8Array,
    atom_bounds: Float64Array,
    atom_codes: UInt8Array,
    pairs: UInt8Array,
    atoms: UInt8Array,
) -> None:
    """Draw and :func:`pick` a relation for every ordered pair and a side for every atom.

    The codes are arguments: a compiled function would keep those of its first compilation.

    Args:
        seed: of the draws, as are ``epoch`` and ``index``.
        epoch: see ``rng.generator``.
        index: see ``rng.generator``.
        pair_bounds: see :func:`pick`; of the relations.
        pair_codes: bits of the relations.
        atom_bounds: the same of the sides of an atom.
        atom_codes: bits of the sides.
        pairs: receives codes, [N, N].
        atoms: receives codes, [N].
    """
    pick(uniform(seed, epoch, index, _PAIRS, pairs.size), pair_bounds, pair_codes, pairs.reshape(-1))
    pick(uniform(seed, epoch, index, _ATOMS, atoms.size), atom_bounds, atom_codes, atoms)


@loop
def all_within(
    atoms: UInt8Array, bonds: UInt16Array, parts: UInt8Array, atom_sizes: UInt8Array, bond_sizes: UInt8Array
) -> bool:
    """Whether every number of a molecule names something that there is.

    Args:
        atoms: [N, 9], below ``atom_sizes`` [9], column by column.
        bonds: [M, 2], below N.
        parts: [M, 3], below ``bond_sizes`` [3], column by column.
        atom_sizes: codes of each atom feature.
        bond_sizes: codes of each bond feature.
    """
    for codes, sizes in ((atoms, atom_sizes), (parts, bond_sizes)):
        for row in range(codes.shape[0]):
            for column in range(codes.shape[1]):
                if codes[row, column] >= sizes[column]:
                    return False
    highest = 0
    for bond in range(len(bonds)):
        highest = max(highest, bonds[bond, 0], bonds[bond, 1])
    return highest < len(atoms)
