"""Whether two SMILES are one molecule, and at which level: texts that are equal where the molecules are.

The levels, from fine to coarse; molecules that agree at one agree at all that follow::

    exact         the molecule with its stereochemistry and isotopes
    unlabelled    without isotopes
    connectivity  without stereochemistry too
    parent        of that the largest organic fragment, neutralised (``parents``): salts, solvates and charge
                  states of one compound fall together
    tautomers     no text but two hashes of the parent; molecules that share one of them are tautomers

What is no part of a molecule never counts (``writings``): atom-map numbers, explicit hydrogens, Kekule or
aromatic writing, the ways to write hypervalent and dative bonds.

The texts are for comparison within one process: another version of RDKit writes some molecules otherwise, so
none is kept in a file and read back for comparison.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final, NamedTuple

from rdkit import Chem, rdBase
from rdkit.Chem import rdMolHash

from moleblend_plugin.chem.identity.parents import flat_text, parent_of
from moleblend_plugin.chem.identity.writings import one_writing, without_isotopes
from moleblend_plugin.chem.reading import from_smiles, pinned

LEVELS: Final = ("exact", "connectivity", "parent")
"""What ``--exclude-level`` offers."""

_CARE: Final = re.compile(r"\[\d|\[[^\]]*[-+:]|[~<>.]|\[(?:Li|Na|K|Rb|Cs|Mg|Ca|Sr|Ba)\]|\[H")
"""In a canonical SMILES: isotopes, charges, atom maps, odd bonds, fragments, s-block metals, hydrogens.
Without any of them there is no other writing, and the molecule is its own parent."""

_USUAL: Final = re.compile(
    r"\[N\+\]\(=O\)\[O-\]|O=\[N\+\]\(\[O-\]\)|\[(?:Na\+|K\+|Ca\+2|F-|Cl-|Br-|I-)\](?=\.|$)|\.|(?<=\[)\d+"
)
"""Nitro groups, lone ions, fragments and isotopes: at level ``exact`` they have one writing too."""

_STEREO: Final = re.compile(r"[@/\\]")


class Likeness(NamedTuple):
    """Texts of a molecule at every level, and the two hashes that find its tautomers."""

    exact: str
    unlabelled: str
    connectivity: str
    parent: str
    tautomers: tuple[str, str]


def identity(smiles: str, level: str = "connectivity") -> str:
    """Text of a molecule at one of ``LEVELS``; of a SMILES that RDKit does not read, the SMILES itself."""
    with rdBase.BlockLogs(), pinned():
        mol = from_smiles(smiles)
        return smiles if mol is None else str(getattr(_Texts(mol), level))


def written_identity(smiles: str) -> str:
    """``exact`` of a SMILES that this version of RDKit has just written: most are their own."""
    # What is usual is matched by _CARE too: without a match there is nothing usual to take out.
    needs_care = _CARE.search(smiles) and _CARE.search(_USUAL.sub("", smiles))
    return identity(smiles, "exact") if needs_care else smiles


def connectivity(mol: Chem.Mol) -> str:
    """Text of a molecule at hand without stereochemistry and isotopes. RDKit may write warnings."""
    with pinned():
        return _Texts(mol).connectivity


def likeness(mol: Chem.Mol) -> Likeness:
    """Texts and hashes of a molecule at hand. RDKit may write warnings."""
    with pinned():
        texts = _Texts(mol)
        parent = texts.parent
        return Likeness(texts.exact, texts.unlabelled, texts.connectivity, parent, _tautomer_hashes(parent))


def _tautomer_hashes(parent: str) -> tuple[str, str]:
    """Two of RDKit's hashes of a parent; tautomers share one of them.

    HetAtomTautomer moves hydrogens among the heteroatoms of a conjugated system (azoles, amides, guanidines),
    HetAtomTautomerv2 between carbon and heteroatoms too (keto and enol), but not in guanidines. Neither knows
    ring-chain tautomers (open and closed sugars) nor nitroso compounds beside oximes; and isomers that differ
    in where the hydrogens of one conjugated system sit count as tautomers, however high the barrier.
    """
    kinds = rdMolHash.HashFunction
    found = []
    for kind in (kinds.HetAtomTautomer, kinds.HetAtomTautomerv2):
        mol: Chem.Mol | None = Chem.MolFromSmiles(parent)  # a hash may change the molecule that it is given
        found.append(parent if mol is None else str(rdMolHash.MolHash(mol, kind)))
    return found[0], found[1]


class _Texts:
    """The texts of one molecule."""

    def __init__(self, mol: Chem.Mol) -> None:
        self._mol = mol
        self.exact = str(Chem.MolToSmiles(mol))
        self._careful = _CARE.search(self.exact) is not None
        if self._careful:
            self._mol = one_writing(mol)
            self.exact = str(Chem.MolToSmiles(self._mol))

    @cached_property
    def unlabelled(self) -> str:
        return self.exact if self._bare is self._mol else str(Chem.MolToSmiles(self._bare))

    @cached_property
    def connectivity(self) -> str:
        if not self._careful and not _STEREO.search(self.exact):
            return self.exact
        return flat_text(self._bare)

    @cached_property
    def parent(self) -> str:
        text = self.connectivity
        return parent_of(self._bare, text) if self._careful else text

    @cached_property
    def _bare(self) -> Chem.Mol:
        return without_isotopes(self._mol) if self._careful else self._mol
