"""Coordinates listed beside a SMILES, as in Uni-Mol's files: whose they are, and which are geometries.

Legend: N heavy atoms of the molecule, A atoms of the list, C conformers.

The list names elements only, so an atom is found by its place: heavy atoms come in the order of the SMILES,
wherever hydrogens stand. Distances along bonds then tell a list that is in another order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from rdkit import Chem

from moleblend_plugin.chem.geometry.conformers import Conformers
from moleblend_plugin.chem.geometry.plausible import NO_NUMBERS, Plausibility, most_common
from moleblend_plugin.chem.readers.raw_row import ListedAtoms
from moleblend_plugin.schema import Float32Array

_DRAWN_ANGSTROM: Final = 1.5
"""Length of every bond in RDKit's drawings."""

_DRAWING: Final = "is 2D"
_HYDROGENS: Final = frozenset(("H", "D", "T"))


def take_listed(mol: Chem.Mol, listed: ListedAtoms) -> Conformers:
    """Conformers of ``mol`` (heavy atoms only) from the list; those that are no geometries are left out."""
    if listed.coords is None:
        return Conformers(None, listed.problem)
    rows = [row for row, symbol in enumerate(listed.symbols) if symbol not in _HYDROGENS]
    if [listed.symbols[row] for row in rows] != [atom.GetSymbol() for atom in mol.GetAtoms()]:
        return Conformers(None, "source atoms are not those of the SMILES, in its order")
    drawn = [not places[:, 2].any() for places in listed.coords]  # flat, so far
    if all(drawn) and not _is_drawing(mol, listed, rows):
        drawn = [False] * len(drawn)
    problems = _problems(mol, listed.coords[:, rows], drawn)
    kept = [number for number, problem in enumerate(problems) if not problem]
    if not kept:
        return Conformers(None, most_common(problems) or "no coordinates in the source")
    coords = np.ascontiguousarray(listed.coords[kept][:, rows], np.float32)  # [C, N, 3]
    if len(kept) == len(problems):
        return Conformers(coords, "source")
    left = "drawings" if set(problems) <= {f"source {_DRAWING}", ""} else "unfit ones"
    return Conformers(coords, f"source, {left} left out: {len(kept)} of {len(problems)} kept")


def _problems(mol: Chem.Mol, conformers: Float32Array, drawn: list[bool]) -> list[str]:
    """Why each of ``conformers`` [C, N, 3] is no geometry of ``mol``; "" where it is."""
    check = Plausibility(mol)
    problems = []
    for places, is_drawn in zip(conformers, drawn, strict=True):
        why_not = check.why_not(places)
        if why_not != NO_NUMBERS and is_drawn and places.any():
            why_not = _DRAWING
        if why_not.startswith("bonds"):
            why_not = f"coordinates do not fit the SMILES' bonds: {why_not.replace(': ', ', ')}"
        problems.append(f"source {why_not}" if why_not else "")
    return problems


def _is_drawing(mol: Chem.Mol, listed: ListedAtoms, rows: list[int]) -> bool:
    """Whether a list without any depth is a drawing rather than a planar molecule."""
    if len(listed.symbols) < 2 or listed.coords is None:
        return False
    atoms = [mol.GetAtomWithIdx(index) for index in range(mol.GetNumAtoms())]
    with_hydrogens = len(listed.symbols) >= sum(1 + atom.GetTotalNumHs() for atom in atoms)
    # Four neighbours are never flat.
    if any((atom.GetTotalDegree() if with_hydrogens else atom.GetDegree()) > 3 for atom in atoms):
        return True
    lengths = _lengths(listed.coords[0, rows], _bond_ends(mol))
    return bool(len(lengths)) and bool(np.allclose(lengths, _DRAWN_ANGSTROM, atol=0.01))


def _bond_ends(mol: Chem.Mol) -> npt.NDArray[np.int64]:
    """Atoms of every bond [M, 2]."""
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    return np.array(ends, np.int64).reshape(-1, 2)


def _lengths(places: Float32Array, ends: npt.NDArray[np.int64]) -> Float32Array:
    """Length of every bond [M] in Angstrom."""
    steps = places[ends[:, 0]] - places[ends[:, 1]]
    return np.asarray(np.sqrt((steps**2).sum(1)), np.float32)
