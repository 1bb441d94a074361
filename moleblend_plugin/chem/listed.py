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

from moleblend_plugin.chem.conformers import Conformers
from moleblend_plugin.chem.rows import ListedAtoms
from moleblend_plugin.schema import Float32Array

_CLOSEST_ANGSTROM: Final = 0.1
"""Heavy atoms nearer than this are no geometry but a writer's placeholder (all zeros, copies)."""

_LONGEST_BOND: Final = 1.5
"""Longest bond of a geometry, in sums of covalent radii; second neighbours are farther but in small rings."""

_ROWS: Final = 256
"""Atoms whose distances to all others are looked at together."""

_DRAWN_ANGSTROM: Final = 1.5
"""Length of every bond in RDKit's drawings."""

_DRAWING: Final = "source is 2D"
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
        return Conformers(None, max(problems, key=problems.count, default="no coordinates in the source"))
    coords = np.ascontiguousarray(listed.coords[kept][:, rows], np.float32)  # [C, N, 3]
    if len(kept) == len(problems):
        return Conformers(coords, "source")
    left = "drawings" if set(problems) <= {_DRAWING, ""} else "unfit ones"
    return Conformers(coords, f"source, {left} left out: {len(kept)} of {len(problems)} kept")


def overlap(places: Float32Array) -> bool:
    """Whether two of the atoms at ``places`` [N, 3] share a place. In blocks of rows: N may be large."""
    for start in range(0, len(places), _ROWS):
        gaps = ((places[start : start + _ROWS, None] - places) ** 2).sum(2)  # [rows, N]
        np.fill_diagonal(gaps[:, start:], np.inf)
        if bool((gaps < _CLOSEST_ANGSTROM**2).any()):
            return True
    return False


def _problems(mol: Chem.Mol, conformers: Float32Array, drawn: list[bool]) -> list[str]:
    """Why each of ``conformers`` [C, N, 3] is no geometry of ``mol``; "" where it is."""
    ends, longest = _bond_ends(mol), _longest_bonds(mol)
    problems = []
    for places, is_drawn in zip(conformers, drawn, strict=True):
        if not np.isfinite(places).all():
            problem = "source coordinates are no numbers"
        elif is_drawn and places.any():
            problem = _DRAWING
        elif overlap(places):
            problem = "source coordinates overlap"
        elif bool((_lengths(places, ends) > longest).any()):
            problem = "source coordinates do not fit the SMILES' bonds"
        else:
            problem = ""
        problems.append(problem)
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


def _longest_bonds(mol: Chem.Mol) -> npt.NDArray[np.float64]:
    """The most that every bond [M] of a geometry measures, in Angstrom."""
    radius = Chem.GetPeriodicTable().GetRcovalent
    radii = np.array([radius(atom.GetAtomicNum()) for atom in mol.GetAtoms()])
    ends = _bond_ends(mol)
    return np.asarray(_LONGEST_BOND * (radii[ends[:, 0]] + radii[ends[:, 1]]), np.float64)
