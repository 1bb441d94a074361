"""Atoms for places: what stands for a dummy atom (``*``, ``[1*]``) while a molecule is embedded.

A dummy has no radius, so RDKit sets it 0.7 Angstrom from its neighbour. In a polymer's repeat unit, a
fragment or a scaffold a carbon mostly stands there: its bonds have a bond's length.
"""

from __future__ import annotations

from typing import Final

from rdkit import Chem

_STAND_INS: Final = (6, 7, 8, 15, 16)
"""Carbon; where an aromatic ring needs its pair of electrons, nitrogen or oxygen; for 5 and 6 bonds P and
S."""


def without_dummies(mol: Chem.Mol) -> Chem.Mol:
    """``mol`` with an element for its dummy atoms, the first that makes a molecule of it, and hydrogens to
    match.

    Stereochemistry stays as it was: the other atoms' neighbours keep their order. Where no element fits,
    ``mol``.
    """
    dummies = [i for i in range(mol.GetNumAtoms()) if mol.GetAtomWithIdx(i).GetAtomicNum() == 0]
    if not dummies:
        return mol
    for element in _STAND_INS:
        filled = Chem.RWMol(mol)
        for index in dummies:
            stand_in = Chem.Atom(element)
            stand_in.SetIsAromatic(mol.GetAtomWithIdx(index).GetIsAromatic())
            if stand_in.GetIsAromatic() and element != _STAND_INS[0]:
                stand_in.SetNumExplicitHs(int(element == 7 and mol.GetAtomWithIdx(index).GetDegree() == 2))
            filled.ReplaceAtom(index, stand_in)
        if not Chem.SanitizeMol(filled, catchErrors=True):
            return filled.GetMol()
    return mol
