"""Bonds for which RDKit's MMFF94 has no length of its own, and takes that of a single bond instead.

Where MMFF94's table lacks a bond, RDKit estimates it as the sum of two single-bond radii whatever its order,
and reports success: 1.80 Angstrom for the C=S of isothiocyanates (measured: 1.60), 1.40 for carbon
dioxide (1.16), 1.46 for N#N (1.10), 1.54 for the bridges of porphyrins (1.39). Relaxing then stretches what
ETKDG had right.
"""

from __future__ import annotations

from typing import Any, Final

from rdkit import Chem

_RADII: Final = {
    6: (0.75, 0.67, 0.60),
    7: (0.71, 0.60, 0.54),
    8: (0.63, 0.57, 0.53),
    15: (1.11, 1.02, 0.94),
    16: (1.03, 0.94, 0.95),
}
"""Covalent radii for single, double and triple bonds in Angstrom, of the elements whose multiple bonds MMFF94
knows (Pyykkö and Atsumi 2009, doi:10.1002/chem.200901472)."""

# Of 17,280 molecules of MoleculeNet: bonds in the table lie at most 0.113, 0.069 and 0.133 above the sum of
# radii, estimated ones from 0.138, 0.094 and 0.15. Lone pairs side by side (isoxazole) stretch a bond.
_ALLOWED: Final = 0.12
_ALLOWED_AROMATIC: Final = 0.08
_ALLOWED_AROMATIC_BETWEEN_HETEROATOMS: Final = 0.14


def has_stretched_bonds(full: Chem.Mol, properties: Any) -> bool:  # noqa: ANN401  RDKit has no types
    """Whether MMFF94's rest length of a multiple bond is that of a single one.

    Args:
        full: a molecule with its hydrogens.
        properties: what ``MMFFGetMoleculeProperties`` says of it.
    """
    for number in range(full.GetNumBonds()):
        bond = full.GetBondWithIdx(number)
        order = bond.GetBondTypeAsDouble()
        if order < 1.5:
            continue
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        if order == 1.5 and any(map(_has_double_bond, ends)):
            continue  # tropones: half a single bond in nature too
        limit = _longest(ends[0].GetAtomicNum(), ends[1].GetAtomicNum(), order)
        stretch = properties.GetMMFFBondStretchParams(
            full, ends[0].GetIdx(), ends[1].GetIdx()
        )  # type, force constant, rest length
        if limit is not None and stretch is not None and stretch[2] > limit:
            return True
    return False


def _has_double_bond(atom: Chem.Atom) -> bool:
    return any(bond.GetBondType() == Chem.BondType.DOUBLE for bond in atom.GetBonds())


def _longest(first: int, second: int, order: float) -> float | None:
    """Rest length in Angstrom up to which a bond of ``order`` between two elements is taken for one."""
    if first not in _RADII or second not in _RADII or order not in (1.5, 2.0, 3.0):
        return None
    single, double, triple = (a + b for a, b in zip(_RADII[first], _RADII[second], strict=True))
    if order == 1.5:
        between = 6 not in (first, second)
        return (single + double) / 2 + (
            _ALLOWED_AROMATIC_BETWEEN_HETEROATOMS if between else _ALLOWED_AROMATIC
        )
    return (double if order == 2.0 else triple) + _ALLOWED
