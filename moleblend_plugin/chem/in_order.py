"""Atoms in the order of the molecule's SMILES, as readers of Uni-Mol's files expect them.

Legend: N heavy atoms, C conformers, A atoms of the list (hydrogens included where they are wanted).

A record's SMILES is canonical, its atoms are in the order of the input. Here they are put in the order in
which RDKit parses the SMILES; records that are in that order stay as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Geometry import Point3D

from moleblend_plugin.chem.codes import encode_molecule, heavy_atoms
from moleblend_plugin.schema import Float32Array, MoleculeRecord, UInt8Array, UInt16Array
from moleblend_plugin.vocab import ATOM_FEATURES, BOND_FEATURES

_MOST_MATCHES = 2000
"""Ways to lay a symmetric molecule on itself that are tried."""


class InOrder(NamedTuple):
    """Symbols [A] in the order in which the SMILES is parsed, coordinates float32 [C, A, 3] or ``None``."""

    symbols: tuple[str, ...]
    coords: Float32Array | None


def in_smiles_order(record: MoleculeRecord, hydrogens: bool = False) -> InOrder | None:
    """Atoms of ``record`` in the order of its SMILES; ``None`` where the SMILES is not that of its codes.

    Args:
        record: the molecule.
        hydrogens: whether to add hydrogens after the heavy atoms, where RDKit places them.
    """
    with rdBase.BlockLogs():
        parsed: Chem.Mol | None = Chem.MolFromSmiles(record.smiles)
        if parsed is None:
            return None
        mol = heavy_atoms(parsed)
        rows = _rows(record, mol)
        if rows is None:
            return None
        places = None if record.coords is None else np.ascontiguousarray(record.coords[:, rows])
        if hydrogens:
            return _with_hydrogens(Chem.AddHs(mol), places)
        return InOrder(tuple(atom.GetSymbol() for atom in mol.GetAtoms()), places)


def _with_hydrogens(full: Chem.Mol, places: Float32Array | None) -> InOrder:
    symbols = tuple(atom.GetSymbol() for atom in full.GetAtoms())
    if places is None:
        return InOrder(symbols, None)
    bare = Chem.RemoveAllHs(full)
    complete = []
    for conformer in places.astype(np.float64):
        shape = Chem.Conformer(len(conformer))
        for index, point in enumerate(conformer):
            shape.SetAtomPosition(index, Point3D(*map(float, point)))
        copy = Chem.Mol(bare)
        copy.AddConformer(shape, assignId=True)
        complete.append(Chem.AddHs(copy, addCoords=True).GetConformer().GetPositions())
    return InOrder(symbols, np.asarray(complete, np.float32))


def _rows(record: MoleculeRecord, mol: Chem.Mol) -> list[int] | None:
    """Atom of the record for every atom of ``mol``."""
    codes = encode_molecule(mol)
    if np.array_equal(codes.atom_codes, record.atom_codes) and np.array_equal(codes.bonds, record.bonds):
        return list(range(record.n_atoms))
    if mol.GetNumAtoms() != record.n_atoms:
        return None
    # With chirality, or symmetric centres might be swapped.
    matches = mol.GetSubstructMatches(
        _from_codes(record), useChirality=True, uniquify=False, maxMatches=_MOST_MATCHES
    )
    for match in matches:  # match[i] is the atom of mol that is the record's atom i
        if _same_codes(record, Chem.RenumberAtoms(mol, list(match))):
            return [int(index) for index in np.argsort(match)]
    return None


def _same_codes(record: MoleculeRecord, mol: Chem.Mol) -> bool:
    """Whether ``mol`` has the record's codes, but for the sense of centres, which hangs on bond order."""
    codes = encode_molecule(mol)
    columns = [index for index, feature in enumerate(ATOM_FEATURES) if feature.name != "chirality"]
    if not np.array_equal(codes.atom_codes[:, columns], record.atom_codes[:, columns]):
        return False
    return _bonds(codes.bonds, codes.bond_codes) == _bonds(record.bonds, record.bond_codes)


def _bonds(ends: UInt16Array, codes: UInt8Array) -> dict[tuple[int, ...], tuple[int, ...]]:
    pairs = np.sort(ends.astype(int), axis=1).tolist()
    return {tuple(pair): tuple(code) for pair, code in zip(pairs, codes.tolist(), strict=True)}


def _from_codes(record: MoleculeRecord) -> Chem.Mol:
    """The record's graph, with the sense of its centres, to be found in the molecule of its SMILES."""
    editable = Chem.RWMol()
    tags, types = Chem.ChiralType.names, Chem.BondType.names
    number, chirality, kind = ATOM_FEATURES[0], ATOM_FEATURES[1], BOND_FEATURES[0]
    for codes in record.atom_codes.tolist():
        atomic = number.decode(codes[0])
        atom = Chem.Atom(int(atomic) if str(atomic).isdigit() else 0)
        atom.SetNoImplicit(True)
        atom.SetChiralTag(tags.get(str(chirality.decode(codes[1])), Chem.ChiralType.CHI_UNSPECIFIED))
        editable.AddAtom(atom)
    for (i, j), codes in zip(record.bonds.tolist(), record.bond_codes.tolist(), strict=True):
        editable.AddBond(i, j, types.get(str(kind.decode(codes[0])), Chem.BondType.UNSPECIFIED))
    return editable.GetMol()
