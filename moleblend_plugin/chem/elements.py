"""Symbols of the elements, without RDKit: for sources that hold atomic numbers, and for words."""

from __future__ import annotations

from typing import Final

from moleblend_plugin.schema import MoleculeRecord
from moleblend_plugin.vocab import ATOM_FEATURES

_SYMBOL_TEXT: Final = """
* H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu
Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
SYMBOLS: Final = tuple(_SYMBOL_TEXT.split())
"""Symbols by atomic number; 0 is a dummy atom."""


def symbols_of(record: MoleculeRecord) -> list[str]:
    """Symbols of a record's heavy atoms, in its order; "*" for what is no element."""
    numbers = [ATOM_FEATURES[0].decode(code) for code in record.atom_codes[:, 0].tolist()]
    return [SYMBOLS[int(number)] if str(number).isdigit() else SYMBOLS[0] for number in numbers]
