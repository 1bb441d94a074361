"""SMILES, mol blocks and RDKit molecules as this package perceives them, whatever RDKit's settings elsewhere.

Two things that are no chemistry change what RDKit perceives. Its process-wide switches do (three, each also
an environment variable such as ``RDK_USE_LEGACY_STEREO_PERCEPTION``): :func:`pinned` sets those that codes
and canonical SMILES depend on and restores them. Atom map numbers do, as RDKit ranks neighbours by them: they
are cleared before stereochemistry is perceived, so that a mapped molecule is the molecule.

Every function here pins by itself; hold :func:`pinned` around whatever else is asked of RDKit about a
molecule (removing hydrogens, sanitising, writing SMILES).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import numpy as np
from rdkit import Chem

# RDKit's own defaults. Ring finding has no such switch before 2025.
_SWITCHES: Final = tuple(
    (getattr(Chem, f"Get{name}"), getattr(Chem, f"Set{name}"), wanted)
    for name, wanted in (
        ("UseLegacyStereoPerception", True),
        ("AllowNontetrahedralChirality", True),
        ("UseLegacyRingFinding", False),
    )
    if hasattr(Chem, f"Set{name}")
)

_DIRECTIONS: Final = (Chem.BondDir.ENDUPRIGHT, Chem.BondDir.ENDDOWNRIGHT)

_EXTENT: Final = 1e-4
"""Angstrom: atoms that lie nearer than this along every axis have no geometry."""

# A bracket atom ends in its map number, and nothing else in a SMILES looks like this.
_MAP: Final = re.compile(r":\d+(?=\])")


class _Held(threading.local):
    """Whether this thread is in a block of :func:`pinned`: another one inside has nothing to set."""

    pinned = False


_HELD: Final = _Held()
_NOTHING: Final = nullcontext()


def pinned() -> AbstractContextManager[None]:
    """A block in which RDKit's switches stand as this package reads molecules; then the caller's are back."""
    return _NOTHING if _HELD.pinned else _pinned()


@contextmanager
def _pinned() -> Iterator[None]:
    before = [(set_switch, get_switch()) for get_switch, set_switch, _ in _SWITCHES]
    try:
        for _, set_switch, wanted in _SWITCHES:
            set_switch(wanted)
        _HELD.pinned = True
        yield
    finally:
        _HELD.pinned = False
        for set_switch, value in before:
            set_switch(value)


def from_smiles(text: str) -> Chem.Mol | None:
    """Sanitised molecule of ``text`` (a SMILES, perhaps with a CXSMILES extension and a name), without maps.

    ``None`` where RDKit refuses it.
    """
    smiles, *rest = text.split(maxsplit=1) or [""]  # a name may say anything
    with pinned():
        unmapped = _MAP.sub("", smiles) if ":" in smiles else smiles
        mol = _parsed(" ".join((unmapped, *rest)))
        # A CXSMILES extension may set maps too.
        return mol if mol is None or ":" not in text or not _mapped(mol) else _unmapped(mol)


def from_block(block: str) -> Chem.Mol | None:
    """Sanitised molecule of a mol block (V2000 or V3000) with its hydrogens, without maps.

    Stereo comes from the geometry where it is 3D, from wedges where it is 2D, and from the parities of atoms
    where all coordinates are the same; these are left out then. ``None`` where RDKit refuses the block.
    """
    with pinned():
        mol: Chem.Mol | None = Chem.MolFromMolBlock(block, sanitize=True, removeHs=False)
        if mol is None or lacks_geometry(mol):
            # RDKit fails on a three-coordinate centre without extent that claims to be 3D.
            flat: Chem.Mol | None = Chem.MolFromMolBlock(_as_drawing(block), sanitize=True, removeHs=False)
            if flat is not None and lacks_geometry(flat):
                return _from_parities(flat)
        if mol is None:
            return None
        if mol.GetNumConformers() and mol.GetConformer().Is3D():
            Chem.AssignStereochemistryFrom3D(mol)
        return _unmapped(mol) if _mapped(mol) else mol


def from_mol(mol: Chem.Mol) -> Chem.Mol:
    """A copy of a user's molecule as :func:`from_smiles` would perceive it; ``mol`` stays as it is.

    Maps are cleared, aromaticity and stereochemistry perceived anew, however ``mol`` came to be.
    """
    with pinned():
        copy = Chem.Mol(mol)
        # One that RDKit refuses was accepted by its owner: it is taken as it is, if it can be coded.
        if Chem.SanitizeMol(copy, catchErrors=True):
            copy = Chem.Mol(mol)
        return _unmapped(copy)


def without_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    """``mol`` without hydrogens, but for those that ``Chem.RemoveHs`` keeps; double bonds as they were."""
    bare = Chem.RemoveHs(mol)
    set_directions(bare)
    return bare


def set_directions(mol: Chem.Mol) -> None:
    """Write the sides of double bonds into the bonds beside them again, in place: after removing hydrogens.

    RDKit moves the direction of a bond to hydrogen to the other bond of the atom as if that pointed away from
    it. One that closes a ring may point to it; writing the SMILES, or perceiving stereo anew, then takes E
    for Z (rings of eight atoms and more, as in ``[H]/C1=C(/[H])CCCCCC1``).
    """
    bonds = [mol.GetBondWithIdx(index) for index in range(mol.GetNumBonds())]
    if any(bond.GetStereo() != Chem.BondStereo.STEREONONE for bond in bonds):
        for bond in bonds:
            if bond.GetBondDir() in _DIRECTIONS:
                bond.SetBondDir(Chem.BondDir.NONE)
        Chem.SetDoubleBondNeighborDirections(mol)


def lacks_geometry(mol: Chem.Mol) -> bool:
    """Whether all atoms of ``mol`` lie in one place, as in files that were written without coordinates."""
    if mol.GetNumAtoms() < 2 or not mol.GetNumConformers():
        return False
    return bool(np.ptp(mol.GetConformer().GetPositions(), axis=0).max() < _EXTENT)


def leaves_stereo_open(mol: Chem.Mol) -> bool:
    """Whether ``mol`` has a possible stereocentre or double bond of which nothing is said."""
    with pinned():
        return any(
            info.specified == Chem.StereoSpecified.Unspecified
            for info in Chem.FindPotentialStereo(Chem.Mol(mol), cleanIt=False, flagPossible=True)
        )


def clear_maps(mol: Chem.Mol) -> None:
    """Clear atom map numbers in place. Before stereochemistry is perceived: RDKit ranks by them."""
    for index in range(mol.GetNumAtoms()):
        mol.GetAtomWithIdx(index).SetAtomMapNum(0)


def to_smiles(mol: Chem.Mol) -> str:
    """Canonical isomeric SMILES of ``mol``, which has no maps."""
    with pinned():
        return str(Chem.MolToSmiles(mol))


def _parsed(text: str) -> Chem.Mol | None:
    """Molecule of a SMILES, whose sides of double bonds are perceived before its hydrogens are removed."""
    if "[H]" not in text or not ("/" in text or "\\" in text):
        mol: Chem.Mol | None = Chem.MolFromSmiles(text)
        return mol
    how: Any = Chem.SmilesParserParams()
    how.removeHs = False
    full: Chem.Mol | None = Chem.MolFromSmiles(text, how)
    return None if full is None else without_hydrogens(full)


def _as_drawing(block: str) -> str:
    """``block``, whose head says that it is 2D."""
    lines = block.split("\n")
    if len(lines) > 1:
        lines[1] = f"{lines[1][:20]:<20}2D{lines[1][22:]}"
    return "\n".join(lines)


def _from_parities(mol: Chem.Mol) -> Chem.Mol:
    """``mol`` without coordinates, its centres from the parity of every atom (CTfile formats, 2020).

    Neighbours count by their numbers, an implicit hydrogen last; RDKit reads CFG of V3000 as parity too.
    Double bonds have none: they are left open.
    """
    Chem.RemoveStereochemistry(mol)
    mol.RemoveAllConformers()
    Chem.AssignAtomChiralTagsFromMolParity(mol)
    return _unmapped(mol)


def _mapped(mol: Chem.Mol) -> bool:
    return any(mol.GetAtomWithIdx(index).GetAtomMapNum() for index in range(mol.GetNumAtoms()))


def _unmapped(mol: Chem.Mol) -> Chem.Mol:
    """``mol`` without maps, its stereochemistry perceived once more."""
    clear_maps(mol)
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    return mol
