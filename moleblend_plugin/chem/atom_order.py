"""Atoms in the order of the molecule's SMILES, as readers of Uni-Mol's files expect them.

Legend: N heavy atoms, C conformers, A atoms of the list (hydrogens included where they are wanted).

A record's SMILES is canonical, its atoms are in the order of the input. Here they are put in the order in
which RDKit parses the SMILES; records that are in that order stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rdkit import Chem, rdBase
from rdkit.Geometry import Point3D

from moleblend_plugin.chem.codes import Codes, encode_molecule, heavy_atoms
from moleblend_plugin.chem.reading import from_smiles, pinned
from moleblend_plugin.schema import Float32Array, MoleculeRecord, UInt8Array
from moleblend_plugin.vocab import ATOM_FEATURES, BOND_FEATURES, CHIRALITY

_MOST_MATCHES = 2000
"""Ways to lay a symmetric molecule on itself that are tried."""


class OrderedAtoms(NamedTuple):
    """Symbols [A] in the order in which the SMILES is parsed, coordinates float32 [C, A, 3] or ``None``."""

    symbols: tuple[str, ...]
    coords: Float32Array | None


def in_smiles_order(record: MoleculeRecord, hydrogens: bool = False) -> OrderedAtoms | None:
    """Atoms of ``record`` in the order of its SMILES; ``None`` where the SMILES is not that of its codes.

    Args:
        record: the molecule.
        hydrogens: whether to add hydrogens after the heavy atoms, where RDKit places them.
    """
    with rdBase.BlockLogs(), pinned():
        found = _parsed(record)
        if found is None:
            return None
        mol, rows = found
        places = None if record.coords is None else np.ascontiguousarray(record.coords[:, rows])
        if hydrogens:
            return _with_hydrogens(Chem.AddHs(mol), places)
        return OrderedAtoms(tuple(atom.GetSymbol() for atom in mol.GetAtoms()), places)


def molecule_of(record: MoleculeRecord) -> Chem.Mol | None:
    """The molecule of a record's SMILES with its heavy atoms in the record's order, that of the input.

    ``None`` where the SMILES is not that of the record's codes.
    """
    with rdBase.BlockLogs(), pinned():
        found = _parsed(record)
        if found is None:
            return None
        mol, rows = found
        return Chem.RenumberAtoms(mol, [int(index) for index in np.argsort(rows)])


def _parsed(record: MoleculeRecord) -> tuple[Chem.Mol, list[int]] | None:
    """Heavy atoms of a record's SMILES, and each one's row in the record; ``None`` where they do not fit."""
    parsed = from_smiles(record.smiles)
    if parsed is None:
        return None
    mol = heavy_atoms(parsed)
    rows = _rows(record, mol, encode_molecule(mol, parsed))
    return None if rows is None else (mol, rows)


def _with_hydrogens(full: Chem.Mol, places: Float32Array | None) -> OrderedAtoms:
    symbols = tuple(atom.GetSymbol() for atom in full.GetAtoms())
    if places is None:
        return OrderedAtoms(symbols, None)
    bare = Chem.RemoveAllHs(full)
    complete = []
    for conformer in places.astype(np.float64):
        shape = Chem.Conformer(len(conformer))
        for index, point in enumerate(conformer):
            shape.SetAtomPosition(index, Point3D(*map(float, point)))
        copy = Chem.Mol(bare)
        copy.AddConformer(shape, assignId=True)
        complete.append(Chem.AddHs(copy, addCoords=True).GetConformer().GetPositions())
    return OrderedAtoms(symbols, np.asarray(complete, np.float32))


def _rows(record: MoleculeRecord, mol: Chem.Mol, codes: Codes) -> list[int] | None:
    """Atom of the record for every atom of ``mol``, whose codes are ``codes``."""
    as_it_is = list(range(record.n_atoms))
    if (
        np.array_equal(codes.bonds, record.bonds)
        and _same_codes(record, codes, as_it_is)
        and np.array_equal(codes.ogb_chirality, _ogb_chirality(record))
    ):
        return as_it_is
    if mol.GetNumAtoms() != record.n_atoms:
        return None
    # With chirality, or symmetric centres might be swapped.
    matches = mol.GetSubstructMatches(
        _from_codes(record), useChirality=True, uniquify=False, maxMatches=_MOST_MATCHES
    )
    for match in matches:  # match[i] is the atom of mol that is the record's atom i
        if _same_codes(record, codes, match):
            return [int(index) for index in np.argsort(match)]
    return None


def _ogb_chirality(record: MoleculeRecord) -> UInt8Array:
    """The codes that hang on the order of bonds; they are those of RDKit's tags."""
    given = record.ogb_chirality
    return record.atom_codes[:, CHIRALITY] if given is None else given


def _same_codes(record: MoleculeRecord, codes: Codes, match: Sequence[int]) -> bool:
    """Whether atoms ``match`` of another molecule have the record's codes, and their bonds too.

    A record of a store of format 2 holds no codes of chirality that could be compared.
    """
    if len(codes.atom_codes) != record.n_atoms or len(codes.bonds) != len(record.bonds):
        return False
    known = np.full(len(ATOM_FEATURES), True)
    known[CHIRALITY] = record.ogb_chirality is not None
    if not np.array_equal(codes.atom_codes[list(match)][:, known], record.atom_codes[:, known]):
        return False
    moved = np.argsort(match)[codes.bonds.astype(int)].reshape(-1, 2)
    return _bonds(moved, codes.bond_codes) == _bonds(record.bonds, record.bond_codes)


def _bonds(ends: npt.NDArray[Any], codes: UInt8Array) -> dict[tuple[int, ...], tuple[int, ...]]:
    pairs = np.sort(ends.astype(int), axis=1).tolist()
    return {tuple(pair): tuple(code) for pair, code in zip(pairs, codes.tolist(), strict=True)}


def _from_codes(record: MoleculeRecord) -> Chem.Mol:
    """The record's graph, with the sense of its centres, to be found in the molecule of its SMILES."""
    editable = Chem.RWMol()
    tags, types = Chem.ChiralType.names, Chem.BondType.names
    number, chirality, kind = ATOM_FEATURES[0], ATOM_FEATURES[CHIRALITY], BOND_FEATURES[0]
    for codes, sense in zip(record.atom_codes.tolist(), _ogb_chirality(record).tolist(), strict=True):
        atomic = number.decode(codes[0])
        atom = Chem.Atom(int(atomic) if str(atomic).isdigit() else 0)
        atom.SetNoImplicit(True)
        atom.SetChiralTag(tags.get(str(chirality.decode(sense)), Chem.ChiralType.CHI_UNSPECIFIED))
        editable.AddAtom(atom)
    for (i, j), codes in zip(record.bonds.tolist(), record.bond_codes.tolist(), strict=True):
        editable.AddBond(i, j, types.get(str(kind.decode(codes[0])), Chem.BondType.UNSPECIFIED))
    return editable.GetMol()
