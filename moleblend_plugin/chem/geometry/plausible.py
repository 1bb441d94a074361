"""Whether coordinates are those of a molecule: its distances against covalent and van der Waals radii.

Legend: N heavy atoms, M bonds.

======================================  ==================================================================
pair of atoms                           distance, in sums of radii
======================================  ==================================================================
bonded                                  0.65 to 1.4 covalent; with a metal or metalloid 0.55 to 1.5
bonded by a hydrogen or zero-order bond at most 1.3 van der Waals
any other, with a metal or metalloid    from 0.7 covalent
any other                               from 0.5 van der Waals
fragments                               each within 20 Angstrom of the others
======================================  ==================================================================

In the 128,741 B3LYP geometries of QM9 bonds measure 0.78 to 1.29 covalent sums, and the closest pair without
a bond, across a ring of four, 0.517 van der Waals sums; atoms three bonds apart 0.69. Bonds with metals reach
farther both ways (Cr-Cr 0.66, elongated Cu-O 1.4), and what coordinates a metal is often written without a
bond. A dummy atom (``*``) has no radii: it counts as the carbon that most often stands there. Hydrogens are
not stored, so they are not looked at.

Radii: covalent of Cordero et al. 2008 (doi:10.1039/b801115j), van der Waals as RDKit lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rdkit import Chem

from moleblend_plugin.chem.elements import SYMBOLS
from moleblend_plugin.schema import Float32Array

NO_NUMBERS: Final = "coordinates are no numbers"

AtomPairs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_CLOSEST_ANGSTROM: Final = 0.1
"""Heavy atoms nearer than this are no geometry but a writer's placeholder (all zeros, copies)."""
_SHORTEST_BOND: Final = 0.65
_LONGEST_BOND: Final = 1.4
_SHORTEST_METAL_BOND: Final = 0.55
_LONGEST_METAL_BOND: Final = 1.5
_LONGEST_WEAK_BOND: Final = 1.3
_CLOSEST_TO_METAL: Final = 0.7
_CLOSEST: Final = 0.5
_FRAGMENTS_APART: Final = 20.0

_ROWS: Final = 256
"""Atoms whose distances to all others are looked at together: N may be large."""
_STANDS_FOR_DUMMY: Final = 6
_NONMETALS: Final = frozenset(
    (1, 2, 6, 7, 8, 9, 10, 15, 16, 17, 18, 34, 35, 36, 53, 54, 85, 86)
)  # others coordinate: boron, silicon, the metals
_WEAK_BONDS: Final = frozenset((Chem.BondType.HYDROGEN, Chem.BondType.ZERO, Chem.BondType.IONIC))
_UNITS: Final = ((0.1, "nm"), (1.8897, "Bohr"), (100.0, "pm"))
"""What a length of one Angstrom reads as in other units."""


class Plausibility:
    """What the distances of one molecule may be; made once, asked for each conformer."""

    def __init__(self, mol: Chem.Mol) -> None:
        """Rules for ``mol``, whose atoms are those of the coordinates (heavy atoms only)."""
        self.n_atoms = mol.GetNumAtoms()
        numbers = [mol.GetAtomWithIdx(index).GetAtomicNum() for index in range(self.n_atoms)]
        self._numbers = numbers
        covalent, contact, metallic = _radii()
        self._covalent, self._contact, self._metal = covalent[numbers], contact[numbers], metallic[numbers]
        bonds = [mol.GetBondWithIdx(index) for index in range(mol.GetNumBonds())]
        ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds]
        self._bonds: AtomPairs = np.array(ends, np.int64).reshape(-1, 2)
        weak = np.array([bond.GetBondType() in _WEAK_BONDS for bond in bonds], bool)
        i, j = self._bonds.T
        metal, self._sums = self._metal[i] | self._metal[j], self._covalent[i] + self._covalent[j]
        self._shortest = np.where(metal, _SHORTEST_METAL_BOND, _SHORTEST_BOND) * self._sums
        self._longest = np.where(metal, _LONGEST_METAL_BOND, _LONGEST_BOND) * self._sums
        if weak.any():
            self._longest[weak] = (_LONGEST_WEAK_BOND * (self._contact[i] + self._contact[j]))[weak]
        fragments = Chem.GetMolFrags(mol)
        self._n_fragments = len(fragments)
        self._fragment = np.zeros(self.n_atoms, np.int64)
        for number, fragment in enumerate(fragments[1:], 1):
            self._fragment[list(fragment)] = number

    def why_not(self, places: Float32Array) -> str:
        """Why ``places`` [N, 3], in Angstrom, are no geometry; "" where they are.

        The reason is ``kind`` or ``kind: detail``: "coordinates are no numbers", "coordinates overlap",
        "bonds too short", "bonds too long" (these with the unit that they may be given in), "atoms too close"
        or "fragments too far apart".
        """
        if not np.isfinite(places).all():
            return NO_NUMBERS
        exact = places.astype(np.float64)
        too_close, together = "", _Groups(self._n_fragments)
        for start in range(0, self.n_atoms, _ROWS):
            rows = slice(start, min(start + _ROWS, self.n_atoms))
            steps = exact[rows, None] - exact
            gaps = np.sqrt(np.einsum("ijk,ijk->ij", steps, steps))  # [rows, N]
            np.fill_diagonal(gaps[:, start:], np.inf)
            if gaps.min() < _CLOSEST_ANGSTROM:
                return "coordinates overlap"
            too_close = too_close or self._too_close(rows, gaps)
            if self._n_fragments > 1:
                near = (gaps < _FRAGMENTS_APART) & (self._fragment[rows, None] != self._fragment)
                left, right = np.nonzero(near)
                together.join(self._fragment[start + left], self._fragment[right])
        apart = f"fragments too far apart: more than {_FRAGMENTS_APART:g} A" if together.count > 1 else ""
        return self._bond_problem(exact) or too_close or apart

    def _bond_problem(self, places: Floats) -> str:
        i, j = self._bonds.T
        lengths = np.sqrt(((places[i] - places[j]) ** 2).sum(1))  # [M]
        for kind, bad in (("short", lengths < self._shortest), ("long", lengths > self._longest)):
            if bad.any():
                ratios = lengths / self._sums
                worst = int(np.argmax(np.where(bad, np.abs(np.log(ratios)), -1)))
                atoms_shown = self._words(int(i[worst]), int(j[worst]), float(lengths[worst]))
                return f"bonds too {kind}{_unit(float(np.median(ratios)))}: {atoms_shown}"
        return ""

    def _too_close(self, rows: slice, gaps: Floats) -> str:
        """The closest pair without a bond that should be farther apart, of ``gaps`` [rows, N]; or ""."""
        least = _CLOSEST * (self._contact[rows, None] + self._contact)
        if self._metal.any():
            covalent = self._covalent[rows, None] + self._covalent
            metal = self._metal[rows, None] | self._metal
            least = np.where(metal, _CLOSEST_TO_METAL * covalent, least)
        for i, j in (self._bonds.T, self._bonds.T[::-1]):
            here = slice(None) if len(gaps) == self.n_atoms else (i >= rows.start) & (i < rows.stop)
            least[i[here] - rows.start, j[here]] = 0
        short = gaps < least
        if not short.any():
            return ""
        first, second = divmod(int(np.argmin(np.where(short, gaps, np.inf))), self.n_atoms)
        atoms_shown = self._words(rows.start + first, second, float(gaps[first, second]))
        return f"atoms too close: {atoms_shown}"

    def _words(self, i: int, j: int, distance: float) -> str:
        """Two atoms (numbers from 0) and their distance."""
        return f"{SYMBOLS[self._numbers[i]]}{i}-{SYMBOLS[self._numbers[j]]}{j} {distance:.3g} A"


def most_common(problems: Sequence[str]) -> str:
    """The first problem of the kind that most conformers have; "" for none."""
    kinds = [problem.partition(":")[0] for problem in problems]
    return max(problems, key=lambda problem: kinds.count(problem.partition(":")[0]), default="")


class _Groups:
    """Fragments that are near each other, directly or by others between them."""

    def __init__(self, count: int) -> None:
        self._group = np.arange(count)

    @property
    def count(self) -> int:
        """Groups that are left."""
        return len(np.unique(self._group)) if len(self._group) > 1 else len(self._group)

    def join(self, first: npt.NDArray[Any], second: npt.NDArray[Any]) -> None:
        """Fragments ``first`` [K] are near fragments ``second`` [K]."""
        for left, right in np.unique(np.stack([first, second], 1), axis=0).tolist():
            self._group[self._group == self._group[left]] = self._group[right]


@lru_cache(maxsize=1)
def _radii() -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """By atomic number: covalent and van der Waals radius in Angstrom, and whether it is a (half) metal."""
    table = Chem.GetPeriodicTable()
    elements = [_STANDS_FOR_DUMMY, *range(1, len(SYMBOLS))]
    covalent = np.array([table.GetRcovalent(number) for number in elements], np.float64)
    contact = np.array([table.GetRvdw(number) for number in elements], np.float64)
    return covalent, contact, np.array([number not in _NONMETALS for number in elements], bool)


def _unit(scale: float) -> str:
    """The unit that the length of most bonds points to, in words; "" where it is Angstrom."""
    near = [name for factor, name in _UNITS if 0.8 < scale / factor < 1.15]
    return f" (given in {near[0]}?)" if near else ""
