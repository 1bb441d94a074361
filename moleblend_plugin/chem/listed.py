"""Coordinates listed beside a SMILES, as in Uni-Mol's files: whose they are, and which are geometries.

Legend: N heavy atoms of the molecule, A atoms of the list, C conformers.

The list names elements only, so an atom is found by its place: heavy atoms come in the order of the SMILES,
wherever hydrogens stand. Distances along bonds then tell a list that is in another order.
"""

from __future__ import annotations

from collections import Counter
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
    problems = [
        _problem(mol, places, is_drawn)
        for places, is_drawn in zip(listed.coords[:, rows], drawn, strict=True)
    ]
    kept = [number for number, problem in enumerate(problems) if not problem]
    why, _ = (
        Counter(problem for problem in problems if problem).most_common(1)[0] if any(problems) else ("", 0)
    )
    if not kept:
        return Conformers(None, why or "no coordinates in the source")
    coords = np.ascontiguousarray(listed.coords[kept][:, rows], np.float32)  # [C, N, 3]
    if len(kept) == len(problems):
        return Conformers(coords, "source")
    left = "drawings" if why == _DRAWING else "unfit ones"
    return Conformers(coords, f"source, {left} left out: {len(kept)} of {len(problems)} kept")


def overlap(places: Float32Array) -> bool:
    """Whether two of the atoms at ``places`` [N, 3] share a place. Row by row: N may be large."""
    return any(
        bool((((places[:index] - places[index]) ** 2).sum(1) < _CLOSEST_ANGSTROM**2).any())
        for index in range(1, len(places))
    )


def _problem(mol: Chem.Mol, places: Float32Array, drawn: bool) -> str:
    """Why heavy atoms at ``places`` [N, 3] are no geometry of ``mol``; "" where they are."""
    if not np.isfinite(places).all():
        return "source coordinates are no numbers"
    if overlap(places):
        return "source coordinates overlap"
    if drawn:
        return _DRAWING
    if bool((_bond_lengths(mol, places) > _LONGEST_BOND * _bond_radii(mol)).any()):
        return "source coordinates do not fit the SMILES' bonds"
    return ""


def _is_drawing(mol: Chem.Mol, listed: ListedAtoms, rows: list[int]) -> bool:
    """Whether a list without any depth is a drawing rather than a planar molecule."""
    if len(listed.symbols) < 2 or listed.coords is None:
        return False
    atoms = [mol.GetAtomWithIdx(index) for index in range(mol.GetNumAtoms())]
    with_hydrogens = len(listed.symbols) >= sum(1 + atom.GetTotalNumHs() for atom in atoms)
    # Four neighbours are never flat.
    if any((atom.GetTotalDegree() if with_hydrogens else atom.GetDegree()) > 3 for atom in atoms):
        return True
    lengths = _bond_lengths(mol, listed.coords[0, rows])
    return bool(len(lengths)) and bool(np.allclose(lengths, _DRAWN_ANGSTROM, atol=0.01))


def _bond_lengths(mol: Chem.Mol, places: Float32Array) -> npt.NDArray[np.float64]:
    ends = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()], int).reshape(-1, 2)
    lengths: npt.NDArray[np.float64] = np.linalg.norm(
        places[ends[:, 0]].astype(np.float64) - places[ends[:, 1]], axis=1
    )
    return lengths


def _bond_radii(mol: Chem.Mol) -> npt.NDArray[np.float64]:
    """Sum of the two covalent radii of every bond, in Angstrom."""
    radius = Chem.GetPeriodicTable().GetRcovalent
    return np.array(
        [
            radius(b.GetBeginAtom().GetAtomicNum()) + radius(b.GetEndAtom().GetAtomicNum())
            for b in mol.GetBonds()
        ]
    )
