"""A stored record -> the relations of one molecule. No RDKit, no randomness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moleblend_plugin.data.samples.input_codes import atom_codes_as
from moleblend_plugin.data.samples.paths import relations_2d
from moleblend_plugin.schema import PATH_HOPS, Float32Array, InputCodes, MoleculeRecord, UInt8Array
from moleblend_plugin.vocab import BOND, N_CONJUGATED, N_STEREO, N_TYPE

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


def featurize(record: MoleculeRecord, conformer: int = 0, codes: InputCodes | None = None) -> Features:
    """Relations of ``record`` with its conformer number ``conformer``.

    Args:
        record: the molecule.
        conformer: its number.
        codes: which codes; ``None`` takes the chirality that is stored, and paths as "published".

    Raises:
        IndexError: the record has 3D, but no conformer of that number.
        MoleblendError: the record lacks these codes.
    """
    atom_codes = atom_codes_as(record, codes)
    n_atoms = record.n_atoms
    degree, spd = np.empty(n_atoms, np.uint8), np.empty((n_atoms, n_atoms), np.uint8)
    bond_path = np.empty((n_atoms, n_atoms, PATH_HOPS), np.uint8)
    by_codes = codes == "invariant"
    relations_2d(record.bonds, record.bond_codes, _BOND_CODES, degree, spd, bond_path, by_codes)
    coords = None if record.coords is None else record.coords[conformer]
    return Features(atom_codes + np.uint8(1), degree, spd, bond_path, coords)
