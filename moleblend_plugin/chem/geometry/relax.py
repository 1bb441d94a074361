"""Embedded conformers to their MMFF94 minima, in bounded time.

Legend: A all atoms, hydrogens included.

Of 134 drug-like molecules (HIV, up to 70 heavy atoms) RDKit's default of 200 steps brings 59 % to their
minimum, 500 steps 97 %, 1000 all; a minimisation ends at its minimum, so that the higher limit costs 1.4
times the time of 200.
"""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from moleblend_plugin.chem.geometry.conformer_method import DEFAULT_METHOD, METHODS
from moleblend_plugin.chem.geometry.mmff_bonds import has_stretched_bonds

DEFAULT_STEPS: Final = METHODS[DEFAULT_METHOD].relax_steps
"""Steps of a minimisation at most."""

_STEP_SECONDS: Final = 1.5e-7
"""Of one step, times A^2, on one core of a 2020s server."""
_STRETCH_SECONDS: Final = 1.0
"""RDKit's minimiser cannot be interrupted, and a new start forgets what it knew of the curvature."""
_FEWEST_STEPS: Final = 200
"""Steps that even the largest molecule may take: RDKit's own default."""


class Relaxed(NamedTuple):
    """``problem``: why the conformers are not relaxed, or ""; ``unfinished``: how many are not at a minimum
    yet."""

    problem: str
    unfinished: int


class Typed(NamedTuple):
    """MMFF94's types of a molecule's atoms, or why it cannot be relaxed."""

    properties: Any
    problem: str


def type_atoms(full: Chem.Mol) -> Typed:
    """Types of the atoms of ``full`` (with its hydrogens), the same for all its conformers."""
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(full)
    if properties is None:
        return Typed(None, "no MMFF94 parameters")
    stretched = has_stretched_bonds(full, properties)
    return Typed(properties, "no MMFF94 length of a multiple bond" if stretched else "")


def relax(
    full: Chem.Mol, ids: list[int], typed: Typed, steps: int, timeout_s: float, deadline: float
) -> Relaxed:
    """Relax every conformer of ``full`` in place; with a problem some may have moved.

    Args:
        full: a molecule with its hydrogens.
        ids: its conformers.
        typed: its types (:func:`type_atoms`).
        steps: for each at most; less where they would take more than half of ``timeout_s`` together.
        timeout_s: the whole time limit. It and the size decide about steps, the clock does not.
        deadline: when relaxing is given up, on ``time.thread_time``'s clock.
    """
    if typed.problem:
        return Relaxed(typed.problem, 0)
    cost = _STEP_SECONDS * full.GetNumAtoms() ** 2
    steps = min(steps, max(_FEWEST_STEPS, int(timeout_s / 2 / (cost * len(ids)))))
    unfinished = 0
    for conformer in ids:
        field = rdForceFieldHelpers.MMFFGetMoleculeForceField(full, typed.properties, confId=conformer)
        if field is None:
            return Relaxed("no MMFF94 parameters", 0)
        field.Initialize()
        left, converged = steps, False
        while left > 0 and not converged:
            if time.thread_time() > deadline:
                return Relaxed("relaxing takes too long", 0)
            stretch = min(left, max(1, int(_STRETCH_SECONDS / cost)))
            converged = field.Minimize(maxIts=stretch) == 0
            left -= stretch
        unfinished += not converged
    return Relaxed("", unfinished)
