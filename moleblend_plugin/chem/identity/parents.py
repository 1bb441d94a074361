"""The parent of a molecule: its largest organic fragment, neutralised, whatever salt or solvate it is.

1. Fragments with carbon are organic. Where none is, nothing is taken apart (sodium chloride, cisplatin), but
   water beside others is left out.
2. Usual counter-ions and solvents (``COMPANIONS``) are left out unless nothing else is organic. Of what
   remains, the fragment of most heavy atoms is the parent, also of its mixtures with smaller ones.
3. Charges go where a proton can come or go: ammonium, carboxylate. Quaternary nitrogen, nitro groups,
   N-oxides, borates and metals keep theirs; a zwitterion becomes the neutral form.
4. A carbanion beside a metal (ferrocene as ions, butyl lithium) is not taken apart: neither half is a
   compound. Another complex written as ions is its largest ligand; the same one written with bonds differs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from rdkit import Chem

from moleblend_plugin.chem.identity.writings import is_metal

COMPANIONS: Final = (
    # acids, written neutral and without stereochemistry
    "C(=O)O CC(=O)O CCC(=O)O OC(=O)C(F)(F)F OC(=O)C(Cl)(Cl)Cl OC(=O)C(=O)O OC(=O)CC(=O)O OC(=O)CCC(=O)O "
    "OC(=O)C=CC(=O)O OC(=O)CC(O)C(=O)O OC(=O)C(O)C(O)C(=O)O OC(=O)CC(O)(CC(=O)O)C(=O)O OC(=O)CCCCC(=O)O "
    "OCC(=O)O CC(O)C(=O)O OCC(O)C(O)C(O)C(O)C(=O)O OC(=O)c1ccccc1 OC(=O)c1ccccc1O OC(=O)C(O)c1ccccc1 "
    "OC(=O)c1cc2ccccc2cc1O OC(=O)c1ccc2ccccc2c1O OC(=O)c1cc2ccccc2c(Cc2c(O)c(C(=O)O)cc3ccccc23)c1O "
    "CS(=O)(=O)O CCS(=O)(=O)O OCCS(=O)(=O)O OS(=O)(=O)CCS(=O)(=O)O OS(=O)(=O)C(F)(F)F OS(=O)(=O)c1ccccc1 "
    "Cc1ccc(S(=O)(=O)O)cc1 Cc1ccc(cc1C)S(=O)(=O)O OS(=O)(=O)c1ccc(Cl)cc1 OS(=O)(=O)c1ccc2ccccc2c1 "
    "OS(=O)(=O)c1cccc2ccccc12 OS(=O)(=O)c1cccc2c1cccc2S(=O)(=O)O CC1(C)C2CCC1(CS(=O)(=O)O)C(=O)C2 "
    "COS(=O)(=O)O CCOS(=O)(=O)O NS(=O)(=O)O OC(=O)O C#N SC#N OC#N "
    "O=[N+]([O-])c1cc([N+](=O)[O-])c(O)c([N+](=O)[O-])c1 "
    # bases
    "CN CNC CN(C)C CCN CCNCC CCN(CC)CC CC(C)(C)N CC(C)N C1CCC(CC1)NC1CCCCC1 NCCO OCCNCCO OCCN(CCO)CCO NCCN "
    "NC(CO)(CO)CO CNCC(O)C(O)C(O)C(O)CO C[N+](C)(C)CCO C1CNCCN1 C1COCCN1 c1ccncc1 C[N+](C)(C)C "
    "CC[N+](CC)(CC)CC CCCC[N+](CCCC)(CCCC)CCCC NCCCCC(N)C(=O)O NC(=N)NCCCC(N)C(=O)O C(CNCc1ccccc1)NCc1ccccc1 "
    # solvents
    "CO CCO CCCO CC(C)O CCCCO OCCO CC(O)CO CC(C)=O CCC(C)=O CC#N CS(C)=O CN(C)C=O CC(=O)N(C)C CN1CCCC1=O "
    "C1CCOC1 C1COCCO1 CCOCC COC(C)(C)C COCCOC CCOC(C)=O ClCCl ClC(Cl)Cl c1ccccc1 Cc1ccccc1 CCCCCC C1CCCCC1 "
    "O=C=O [C-]#[O+]"
)
"""Counter-ions and solvents that come with other molecules; SMILES between blanks."""

_VALENCE: Final = {6: 4, 7: 3, 8: 2, 15: 3, 16: 2, 33: 3, 34: 2, 52: 2}
"""Bonds of a neutral atom: an anion that is one short of them takes a proton up."""
_BASES: Final = frozenset((7, 8, 15, 16, 33, 34))
"""Elements that give a proton away when they are cations."""


def parent_of(mol: Chem.Mol, text: str) -> str:
    """Text of the parent.

    Args:
        mol: a molecule in the writing of ``writings.one_writing``, without isotopes.
        text: its connectivity, given back where it is its own parent.
    """
    fragments = list(Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False))
    organic = [fragment for fragment in fragments if _has_carbon(fragment)]
    if not organic or _is_organometallic(mol):
        return _without_water(fragments, text)
    texts = [flat_text(_neutral(fragment)) for fragment in organic]
    wanted = [number for number, name in enumerate(texts) if name not in _companions()] or range(len(texts))
    return max((organic[number].GetNumHeavyAtoms(), texts[number]) for number in wanted)[1]


def flat_text(mol: Chem.Mol) -> str:
    """Canonical SMILES of ``mol`` without stereochemistry and isotopes."""
    text = str(Chem.MolToSmiles(mol, isomericSmiles=False))
    if "[H]" not in text:
        return text
    # A hydrogen that only told the side of a double bond: reading takes it in.
    return str(Chem.MolToSmiles(Chem.MolFromSmiles(text) or mol, isomericSmiles=False))


@lru_cache(maxsize=1)
def _companions() -> frozenset[str]:
    return frozenset(flat_text(Chem.MolFromSmiles(smiles)) for smiles in COMPANIONS.split())


def _has_carbon(mol: Chem.Mol) -> bool:
    return any(atom.GetAtomicNum() == 6 for atom in mol.GetAtoms())


def _is_organometallic(mol: Chem.Mol) -> bool:
    """Whether a carbanion and a metal stand side by side."""
    atoms = list(mol.GetAtoms())
    return any(_is_carbanion(atom) for atom in atoms) and any(is_metal(atom) for atom in atoms)


def _is_carbanion(atom: Chem.Atom) -> bool:
    """Not cyanide, nor one that a positive neighbour holds (isocyanides, ylides)."""
    if atom.GetAtomicNum() != 6 or atom.GetFormalCharge() >= 0 or _beside(atom, 1):
        return False
    return all(bond.GetBondType() != Chem.BondType.TRIPLE for bond in atom.GetBonds())


def _beside(atom: Chem.Atom, sign: int) -> bool:
    return any(other.GetFormalCharge() * sign > 0 for other in atom.GetNeighbors())


def _without_water(fragments: list[Chem.Mol], text: str) -> str:
    dry = sorted(name for name in map(flat_text, fragments) if name != "O")
    return text if len(dry) in (0, len(fragments)) else ".".join(dry)


def _neutral(fragment: Chem.Mol) -> Chem.Mol:
    """``fragment`` with protons added and removed; as it is where that makes no molecule."""
    edited = Chem.RWMol(fragment)
    for atom in edited.GetAtoms():
        charge = atom.GetFormalCharge()
        if charge < 0 and _takes_proton(atom):
            _set_protons(atom, -charge)
        elif charge > 0 and atom.GetAtomicNum() in _BASES and not _beside(atom, -1):
            _set_protons(atom, -min(charge, atom.GetTotalNumHs()))
    try:
        Chem.SanitizeMol(edited)
    except (ValueError, RuntimeError):  # RDKit's own
        return fragment
    return edited.GetMol()


def _takes_proton(atom: Chem.Atom) -> bool:
    """Whether an anion lacks just what protons make up for, and no positive neighbour holds its charge."""
    if _beside(atom, 1) or (atom.GetAtomicNum() == 6 and atom.GetIsAromatic()):
        return False
    return atom.GetTotalValence() - atom.GetFormalCharge() == _VALENCE.get(atom.GetAtomicNum())


def _set_protons(atom: Chem.Atom, more: int) -> None:
    atom.SetFormalCharge(atom.GetFormalCharge() + more)
    atom.SetNumExplicitHs(atom.GetTotalNumHs() + more)
    atom.SetNoImplicit(True)
