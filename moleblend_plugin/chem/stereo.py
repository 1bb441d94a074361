"""The sense of stereocentres as codes that do not hang on the order of atoms or on how a SMILES is written.

RDKit's own tags (clockwise, counter-clockwise) refer to the order in which an atom's bonds happen to stand.
The labels of Cahn, Ingold and Prelog do not: R and S, and r and s where the mirror image has the same label
(pseudo-asymmetric centres, rings such as 1,4-dimethylcyclohexane). They come from RDKit's ``rdCIPLabeler``
(Hanson et al., J. Chem. Inf. Model. 2018, 58, 1755), are the same for every version of RDKit that ranks
correctly, and change only where the chemistry changes. The older labels in ``_CIPCode`` are not used: they
call some centres wrongly.

What they cannot tell is listed in ``docs/store.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdCIPLabeler, rdqueries

from moleblend_plugin.schema import UInt8Array
from moleblend_plugin.vocab import CIP_LABELS

_MOST_STEPS: Final = 300_000
"""Recursions of the labeller, about a quarter of a second; of 3,506 drug-like molecules none needs 20,000."""

_ROUNDS: Final = 50
"""Rounds of refinement of :func:`_ranks`; atoms that still tie are alike within 50 bonds."""

_NONE, _R, _S, _PSEUDO_R, _OTHER = range(CIP_LABELS.size)
_CODES: Final = {"R": _R, "S": _S, "r": _PSEUDO_R, "s": _OTHER}
_HAS_TAG: Final = rdqueries.HasChiralTagQueryAtom()
"""Any tag but CHI_UNSPECIFIED. RDKit looks for it without a call from Python for every atom."""

_CLOCKWISE: Final = Chem.ChiralType.CHI_TETRAHEDRAL_CW
_TETRAHEDRAL: Final = (_CLOCKWISE, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)


def cip_codes(mol: Chem.Mol) -> UInt8Array:
    """Code (``vocab.CIP_LABELS``) of every heavy atom of ``mol``, uint8 [N].

    Args:
        mol: sanitised, stereochemistry perceived; hydrogens that tell a centre (isotopes) may be its atoms.
    """
    count = mol.GetNumAtoms()
    codes = np.zeros(count, np.uint8)
    centres = [atom.GetIdx() for atom in mol.GetAtomsMatchingQuery(_HAS_TAG)]
    if centres:
        for index, code in _labels(mol, centres).items():
            codes[index] = code
    if mol.GetNumHeavyAtoms() == count:
        return codes
    heavy = [mol.GetAtomWithIdx(index).GetAtomicNum() != 1 for index in range(count)]
    return codes[heavy]


def _labels(mol: Chem.Mol, centres: list[int]) -> dict[int, int]:
    """Codes of ``centres``; those without a label have a parity, or are "other" if not tetrahedral."""
    copy = Chem.Mol(mol)  # the labeller rewrites labels and the stereo of bonds
    atoms = {index: copy.GetAtomWithIdx(index) for index in centres}
    for atom in atoms.values():
        atom.ClearProp("_CIPCode")
    try:
        rdCIPLabeler.AssignCIPLabels(copy, maxRecursiveIterations=_MOST_STEPS)
    except RuntimeError:  # too many steps or branches; the labels so far hang on the order of atoms
        return _parities(mol, centres)
    found = {
        index: atom.GetProp("_CIPCode") if atom.HasProp("_CIPCode") else "" for index, atom in atoms.items()
    }
    unnamed = [index for index, label in found.items() if label not in _CODES]
    codes = {index: _CODES[label] for index, label in found.items() if label in _CODES}
    # The rules do not rank everything that differs, such as the places [1*] and [2*] of a fragment.
    return codes | (_parities(mol, unnamed) if unnamed else {})


def _parities(mol: Chem.Mol, centres: Iterable[int]) -> dict[int, int]:
    """Codes of ``centres`` without a label: the sense of the neighbours in :func:`_ranks`' order.

    Right- and left-handed as R and S are, but by another order than theirs.
    """
    ranks = _ranks(mol)
    codes = {}
    for index in centres:
        atom = mol.GetAtomWithIdx(index)
        around = [ranks[bond.GetOtherAtomIdx(index)] for bond in atom.GetBonds()]
        if atom.GetChiralTag() not in _TETRAHEDRAL or len(set(around)) < len(around):
            codes[index] = _OTHER
            continue
        swaps = sum(before > after for n, after in enumerate(around) for before in around[:n])
        codes[index] = _R if (atom.GetChiralTag() == _CLOCKWISE) == (swaps % 2 == 0) else _S
    return codes


def _ranks(mol: Chem.Mol) -> list[int]:
    """Rank of every atom by element, isotope, charge and hydrogens, then by those around it, and so on."""
    atoms = [mol.GetAtomWithIdx(index) for index in range(mol.GetNumAtoms())]
    bonds = [
        [(bond.GetBondTypeAsDouble(), bond.GetOtherAtomIdx(atom.GetIdx())) for bond in atom.GetBonds()]
        for atom in atoms
    ]
    ranks = _positions(
        [(a.GetAtomicNum(), a.GetIsotope(), a.GetFormalCharge(), a.GetTotalNumHs()) for a in atoms]
    )
    for _ in range(_ROUNDS):
        finer = _positions(
            [
                (rank, sorted(((ranks[other], kind) for kind, other in around), reverse=True))
                for rank, around in zip(ranks, bonds, strict=True)
            ]
        )
        if max(finer) == max(ranks):
            break
        ranks = finer
    return ranks


def _positions(keys: list[Any]) -> list[int]:
    """Place of every key among the different ones, in ascending order."""
    order = sorted(range(len(keys)), key=keys.__getitem__)
    places, place = [0] * len(keys), 0
    for before, index in zip([order[0], *order], order, strict=False):
        place += keys[before] != keys[index]
        places[index] = place
    return places
