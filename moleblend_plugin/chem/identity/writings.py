"""One writing of a molecule for the several that chemists and programs use, so that texts can be compared.

Same molecule, one writing here: with and without atom-map numbers; sulfoxides, phosphine oxides and ylides
with charges or a double bond; bonds of a donor to a metal as dative, zero-order or between opposite charges;
alkali and alkaline-earth metals bound to oxygen, halogens and the like, or beside them as ions; diazo groups
and azides from either end; charges along conjugated systems (by RDKit's ``Normalizer``).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from rdkit import Chem
from rdkit.Chem.MolStandardize import rdMolStandardize

_ALKALI: Final = frozenset((3, 11, 19, 37, 55))
_ALKALINE_EARTH: Final = frozenset((12, 20, 38, 56))
_HALOGENS: Final = frozenset((9, 17, 35, 53))
_CHALCOGENS: Final = frozenset((8, 16, 34))
_HYPERVALENT: Final = frozenset((15, 16, 17, 33, 34, 35, 51, 52, 53))
"""Elements whose bond to an atom of opposite charge is written as a double bond here."""
_NONMETALS: Final = frozenset((1, 2, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 33, 34, 35, 36, 52, 53, 54, 85))
_UNSURE: Final = (Chem.BondType.ZERO, Chem.BondType.UNSPECIFIED)
_SANITIZE: Final = (
    Chem.SanitizeFlags.SANITIZE_ALL
    ^ Chem.SanitizeFlags.SANITIZE_CLEANUP
    ^ Chem.SanitizeFlags.SANITIZE_CLEANUP_ORGANOMETALLICS
)
"""RDKit's own clean-up would give perchlorate back the charges that are taken away here."""


def is_metal(atom: Chem.Atom) -> bool:
    """Whether an atom is a metal (germanium and antimony too, boron and silicon not, nor a wildcard)."""
    return 0 < atom.GetAtomicNum() not in _NONMETALS


def without_maps(mol: Chem.Mol) -> Chem.Mol:
    """``mol`` without atom-map numbers and the centres that only they make; ``mol`` itself if it has none."""
    mapped = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomMapNum()]
    if not mapped:
        return mol
    bare = Chem.Mol(mol)
    for index in mapped:
        bare.GetAtomWithIdx(index).SetAtomMapNum(0)
    return Chem.MolFromSmiles(Chem.MolToSmiles(bare)) or bare


def without_isotopes(mol: Chem.Mol) -> Chem.Mol:
    """``mol`` without isotopes; ``mol`` itself if it has none.

    Atoms of deuterium become hydrogens like any other, and centres that only isotopes make are none.
    """
    if not any(atom.GetIsotope() for atom in mol.GetAtoms()):
        return mol
    bare = Chem.Mol(mol)
    for atom in bare.GetAtoms():
        atom.SetIsotope(0)
    return Chem.MolFromSmiles(Chem.MolToSmiles(bare)) or bare


def one_writing(mol: Chem.Mol) -> Chem.Mol:
    """``mol`` in the writing that is compared; only without maps where RDKit refuses that writing."""
    bare = without_maps(mol)
    # Read again from canonical text: what is chosen among equals below must not hang on the order of atoms.
    bare = Chem.MolFromSmiles(Chem.MolToSmiles(bare)) or bare
    try:
        edited = Chem.RWMol(_normalizer().normalize(bare))
        for metal, donors in list(_donors(edited)):
            for donor in donors:
                _make_dative(edited, donor, metal)
        for bond in edited.GetBonds():
            _join_charges(bond)
        for metal, other in list(_ionic(edited)):
            edited.RemoveBond(metal, other)
            _charge(edited.GetAtomWithIdx(metal), 1)
            _charge(edited.GetAtomWithIdx(other), -1)
        Chem.SanitizeMol(edited, _SANITIZE)
        Chem.AssignStereochemistry(edited, cleanIt=True, force=True)
        return edited.GetMol()
    except (ValueError, RuntimeError):  # RDKit's own
        return bare


@lru_cache(maxsize=1)
def _normalizer() -> rdMolStandardize.Normalizer:
    return rdMolStandardize.Normalizer()


def _charge(atom: Chem.Atom, more: int) -> None:
    atom.SetFormalCharge(atom.GetFormalCharge() + more)


def _both_ways(bond: Chem.Bond) -> tuple[tuple[Chem.Atom, Chem.Atom], tuple[Chem.Atom, Chem.Atom]]:
    begin, end = bond.GetBeginAtom(), bond.GetEndAtom()
    return (begin, end), (end, begin)


def _donors(mol: Chem.Mol) -> Iterator[tuple[int, list[int]]]:
    """(metal, donors) of bonds that are dative bonds in another writing."""
    for metal in filter(is_metal, mol.GetAtoms()):
        bonds = [bond for bond in metal.GetBonds() if bond.GetOtherAtom(metal).GetAtomicNum() in _NONMETALS]
        donors = [
            bond.GetOtherAtomIdx(metal.GetIdx())
            for bond in bonds
            if bond.GetBondType() in _UNSURE
            or (bond.GetBondType() == Chem.BondType.SINGLE and _opposite(bond.GetOtherAtom(metal), metal))
        ]
        yield metal.GetIdx(), donors


def _opposite(plus: Chem.Atom, minus: Chem.Atom) -> bool:
    return bool(plus.GetFormalCharge() > 0 > minus.GetFormalCharge())


def _make_dative(mol: Chem.RWMol, donor: int, metal: int) -> None:
    """The donor's charge goes to the metal, which may become positive: it gave no electron."""
    given = mol.GetAtomWithIdx(donor)
    if given.GetFormalCharge() > 0 and mol.GetBondBetweenAtoms(donor, metal).GetBondType() not in _UNSURE:
        _charge(given, -1)
        _charge(mol.GetAtomWithIdx(metal), 1)
    mol.RemoveBond(donor, metal)
    mol.AddBond(donor, metal, Chem.BondType.DATIVE)


def _join_charges(bond: Chem.Bond) -> None:
    """A double bond for a single one between opposite charges, where an atom may have so many bonds."""
    if bond.GetBondType() != Chem.BondType.SINGLE:
        return
    for plus, minus in _both_ways(bond):
        if not _opposite(plus, minus):
            continue
        if plus.GetAtomicNum() in _HYPERVALENT:
            _charge(plus, -1)
            _charge(minus, 1)
            bond.SetBondType(Chem.BondType.DOUBLE)
        elif end := _diazo_end(plus):  # [X-]-[N+]#N is X=[N+]=[N-]
            _charge(minus, 1)
            _charge(end.GetOtherAtom(plus), -1)
            bond.SetBondType(Chem.BondType.DOUBLE)
            end.SetBondType(Chem.BondType.DOUBLE)


def _diazo_end(nitrogen: Chem.Atom) -> Chem.Bond | None:
    """The triple bond of ``nitrogen`` to a terminal, uncharged nitrogen."""
    for bond in nitrogen.GetBonds():
        end = bond.GetOtherAtom(nitrogen)
        if bond.GetBondType() == Chem.BondType.TRIPLE and nitrogen.GetAtomicNum() == end.GetAtomicNum() == 7:
            return bond if end.GetDegree() == 1 and not end.GetFormalCharge() else None
    return None


def _ionic(mol: Chem.Mol) -> Iterator[tuple[int, int]]:
    """(metal, other) of single bonds of s-block metals that are written as ions here.

    Not those to carbon, nor those of magnesium and calcium to nitrogen: chlorophyll keeps its metal.
    """
    for atom in mol.GetAtoms():
        number = atom.GetAtomicNum()
        bonds = [bond for bond in atom.GetBonds() if bond.GetBondType() == Chem.BondType.SINGLE]
        others = [bond.GetOtherAtom(atom) for bond in bonds]
        if number in _ALKALI:
            salt_former = _HALOGENS | _CHALCOGENS | {7, 15}
        elif number in _ALKALINE_EARTH and len(bonds) == atom.GetDegree():
            salt_former = _HALOGENS | _CHALCOGENS
        else:
            continue
        if all(other.GetAtomicNum() in salt_former for other in others):
            yield from ((atom.GetIdx(), other.GetIdx()) for other in others)
