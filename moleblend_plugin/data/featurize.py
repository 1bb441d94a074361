"""A stored record -> the relations of one molecule. No RDKit, no randomness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moleblend_plugin.data.compiled import bond_codes_and_degree
from moleblend_plugin.data.paths import shortest_paths
from moleblend_plugin.schema import Float32Array, MoleculeRecord, UInt8Array
from moleblend_plugin.vocab import BOND, DEGREE, N_CONJUGATED, N_STEREO, N_TYPE

_BOND_CODES = np.array(
    [
        [
            [BOND.encode(kind, stereo, conjugated) for conjugated in range(N_CONJUGATED)]
            for stereo in range(N_STEREO)
        ]
        for kind in range(N_TYPE)
    ],
    np.uint8,
)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The three relations and the atoms of one molecule, as batch codes.

    Attributes:
        atom_codes: uint8 [N, 9], OGB codes plus one.
        degree: uint8 [N].
        spd: uint8 [N, N].
        bond_path: uint8 [N, N, 5].
        coords: float32 [N, 3] in Angstrom, or ``None`` without 3D.
    """

    atom_codes: UInt8Array
    degree: UInt8Array
    spd: UInt8Array
    bond_path: UInt8Array
    coords: Float32Array | None

    @property
    def n_atoms(self) -> int:
        """N."""
        return int(self.atom_codes.shape[0])


def featurize(record: MoleculeRecord, conformer: int = 0) -> Features:
    """Relations of ``record`` with its conformer number ``conformer``.

    Raises:
        IndexError: the record has 3D, but no conformer of that number.
    """
    n_atoms, bonds = record.n_atoms, record.bonds
    codes, degree = bond_codes_and_degree(n_atoms, bonds, record.bond_codes, _BOND_CODES, DEGREE.largest)
    spd, bond_path = shortest_paths(n_atoms, bonds, codes)
    return Features(
        atom_codes=record.atom_codes + np.uint8(1),
        degree=degree,
        spd=spd,
        bond_path=bond_path,
        coords=None if record.coords is None else record.coords[conformer],
    )
