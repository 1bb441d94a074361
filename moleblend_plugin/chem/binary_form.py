"""RDKit's binary form of a molecule, cut into its atoms and bonds: one call for all that is known of them.

A call from Python for every property of every atom takes longer than RDKit takes to read a SMILES. The binary
form (``Mol.ToBinary``) has all of it. What it says of an atom is not interpreted here: equal bytes are equal
atoms, and RDKit is asked about the first of a kind. So the layout alone must be known, and what differs from
it in any place is not cut at all. Of RDKit 2026.9 it is (numbers are little-endian)::

    20 bytes          mark and versions
    int32, int32      atoms N, bonds M
    80 01             places of atoms are one byte each (N up to 255); atoms follow
    N times           element, flags, int32 of fields, a byte for each field
    0b                bonds follow
    M times           first atom, second atom, flags, a byte each for type, direction and stereo where flags
                      say so, and with stereo the count of its atoms and their places
    42                rings follow
    int32             rings
    each              size, places of its atoms

``codes.encode_molecule`` compares what comes of it with RDKit's own answers before it relies on it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rdkit import Chem

_NO_PROPERTIES: Final = 0
_MOST_ATOMS: Final = 255
"""Beyond it places of atoms take four bytes."""

_HEAD: Final = 20
_ATOMS, _BONDS, _RINGS = b"\x80\x01", 0x0B, 0x42

# Of an atom's flags: no implicit hydrogens, aromatic. Others (queries, maps, dummies) come with more bytes.
_ATOM_FLAGS: Final = 0x20 | 0x40
_MASK: Final = 0xFF ^ _ATOM_FLAGS
_NO_ISOTOPE: Final = b"\0\0\0"
"""Higher bytes of the fields; the first of them tells an isotope, which takes four bytes."""

_FIELDS: Final = tuple(-1 if fields & 1 else 6 + fields.bit_count() for fields in range(256))
"""Bytes of an atom by the lowest byte of its fields; -1: not one byte for each."""

_TYPE, _DIRECTION, _STEREO = 0x08, 0x04, 0x02
_CONJUGATED, _AROMATIC = 0x20, 0x40
_BOND_FLAGS: Final = _TYPE | _DIRECTION | _STEREO | _CONJUGATED | _AROMATIC
_KIND: Final = tuple(
    -1 if flags & ~_BOND_FLAGS else 3 + (flags & (_TYPE | _DIRECTION | _STEREO)).bit_count()
    for flags in range(256)
)
"""Bytes of a bond by its flags, but for the atoms of its stereo; -1: unknown flags."""


class BinaryForm(NamedTuple):
    """Atoms and bonds of a molecule as RDKit writes them, in its order.

    Attributes:
        atoms: what is said of every atom; of equal bytes RDKit's answers are equal, but for what hangs on the
            bonds around: the degree, and whether it is in a ring.
        degrees: bonds of every atom.
        in_ring: whether every atom is in a ring, 0 or 1.
        ends: first and second atom of every bond, one after another.
        bonds: what is said of every bond, but for its atoms.
    """

    atoms: list[bytes]
    degrees: list[int]
    in_ring: list[int]
    ends: bytes
    bonds: list[bytes]


def binary_form(mol: Chem.Mol) -> BinaryForm | None:
    """Atoms and bonds of ``mol``; ``None`` where its binary form holds more than is known here."""
    data: bytes = mol.ToBinary(_NO_PROPERTIES)
    try:
        return _cut(data)
    except IndexError:  # another layout: it ends before all is read
        return None


def _cut(data: bytes) -> BinaryForm | None:
    at = _HEAD + 8
    n_atoms = int.from_bytes(data[_HEAD : _HEAD + 4], "little")
    n_bonds = int.from_bytes(data[_HEAD + 4 : at], "little")
    if n_atoms > _MOST_ATOMS or data[at : at + 2] != _ATOMS:
        return None
    at += 2
    atoms = []
    for _ in range(n_atoms):
        size = _FIELDS[data[at + 2]]
        if size < 0 or data[at + 1] & _MASK or data[at + 3 : at + 6] != _NO_ISOTOPE:
            return None
        atoms.append(data[at : at + size])
        at += size
    if data[at] != _BONDS:
        return None
    at += 1
    degrees, ends, bonds = [0] * n_atoms, bytearray(), []
    for _ in range(n_bonds):
        first, second, flags = data[at], data[at + 1], data[at + 2]
        size = _KIND[flags]
        if size < 0:
            return None
        degrees[first] += 1
        degrees[second] += 1
        ends += data[at : at + 2]
        bonds.append(data[at + 2 : at + size])
        at += size
        if flags & _STEREO:
            at += 1 + data[at]
    in_ring = _atoms_of_rings(data, at, n_atoms)
    return None if in_ring is None else BinaryForm(atoms, degrees, in_ring, bytes(ends), bonds)


def _atoms_of_rings(data: bytes, at: int, n_atoms: int) -> list[int] | None:
    """Whether every atom is in one of the rings that are listed from ``at`` on."""
    if data[at] != _RINGS:
        return None
    in_ring = [0] * n_atoms
    count = int.from_bytes(data[at + 1 : at + 5], "little")
    at += 5
    for _ in range(count):
        end = at + 1 + data[at]
        for atom in data[at + 1 : end]:
            in_ring[atom] = 1
        at = end
    return in_ring if at < len(data) else None
