"""Atoms and bonds of an RDKit molecule as codes.

Legend: N heavy atoms, M bonds between them. Codes are OGB's own (0-based), the value lists are
``vocab.ATOM_FEATURES`` and ``vocab.BOND_FEATURES``; but chirality, whose codes hang on the order of atoms in
OGB, is ``vocab.CIP_LABELS`` (``chem.stereo``), and OGB's stands beside it.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np
from rdkit import Chem

from moleblend_plugin.chem.binary_form import binary_form
from moleblend_plugin.chem.reading import set_directions
from moleblend_plugin.chem.stereo import cip_codes
from moleblend_plugin.schema import Array, UInt8Array, UInt16Array
from moleblend_plugin.vocab import ATOM_FEATURES, BOND_FEATURES, CHIRALITY

_NUMBER, _CHIRALITY, _DEGREE, _CHARGE, _HYDROGENS, _RADICALS, _HYBRIDISATION, _AROMATIC, _RING = ATOM_FEATURES
_TYPE, _STEREO, _CONJUGATED = BOND_FEATURES


def _codes_of(feature: object, names: dict[str, object]) -> dict[object, int]:
    """RDKit enumeration value -> code of its name, so that the loops over atoms build no strings."""
    return {value: feature.encode(name) for name, value in names.items()}  # type: ignore[attr-defined]


_CHIRALITY_CODES: Final = _codes_of(_CHIRALITY, Chem.ChiralType.names)
_HYBRIDISATION_CODES: Final = _codes_of(_HYBRIDISATION, Chem.HybridizationType.names)
_TYPE_CODES: Final = _codes_of(_TYPE, Chem.BondType.names)

# OGB knows no axial (atropisomer) stereo and fails on it; such a bond is a single bond without stereo here.
_STEREO_CODES: Final = {
    value: _STEREO.encode(name if name in _STEREO.values else "STEREONONE")  # type: ignore[arg-type]
    for name, value in Chem.BondStereo.names.items()
}


_MOST_KINDS: Final = 1 << 14
_ATOM_KINDS: dict[tuple[bytes, int, int], bytes] = {}
_BOND_KINDS: dict[bytes, bytes] = {}
"""Codes of the kinds of atoms and bonds that were met: a million drug-like molecules have some hundreds."""

_PROBE: Final = (
    *("C", "O=C=O", "C/C=C/C#N", "C1CC1[N+](=O)[O-]", "N[C@@H](C)C(=O)O", "[Na+].[Cl-]", "C[CH2]", "[NH4+]"),
    *(
        "c1ccc2[nH]ccc2c1",
        "CS(=O)(=O)c1ncc(Br)s1",
        "F/C(Cl)=C(/F)I",
        "C->[Fe]",
        "FP(F)(F)(F)F",
        "OB(O)[C@H]1CC1",
    ),
)
"""Molecules with most of what an atom or a bond may be."""


class Codes(NamedTuple):
    """What a molecule's graph becomes.

    ``atom_codes`` [N, 9], ``bonds`` [M, 2], ``bond_codes`` [M, 3], ``ogb_chirality`` [N].
    """

    atom_codes: UInt8Array
    bonds: UInt16Array
    bond_codes: UInt8Array
    ogb_chirality: UInt8Array


def encode_molecule(mol: Chem.Mol, labelled: Chem.Mol | None = None) -> Codes:
    """Codes of every atom and bond of ``mol``, in RDKit's order.

    Args:
        mol: heavy atoms only (:func:`heavy_atoms`), stereochemistry perceived.
        labelled: the same with the hydrogens that tell stereocentres (isotopes), where it has any.
    """
    codes = (_by_kind(mol) if _knows_binary_form() else None) or _one_by_one(mol)
    whole = mol if labelled is None else labelled
    if codes.ogb_chirality.any() or whole.GetNumAtoms() != len(codes.ogb_chirality):
        codes.atom_codes[:, CHIRALITY] = cip_codes(whole)
    return codes


def _one_by_one(mol: Chem.Mol) -> Codes:
    """Codes, no atom with a label: RDKit is asked about every atom and bond."""
    # By number: RDKit's own iterators ask the molecule for its size at every step.
    atoms = [encode_atom(mol.GetAtomWithIdx(index)) for index in range(mol.GetNumAtoms())]
    all_bonds = [mol.GetBondWithIdx(index) for index in range(mol.GetNumBonds())]
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in all_bonds]
    bonds = [encode_bond(bond) for bond in all_bonds]
    return _unlabelled(np.array(atoms, np.uint8), np.array(ends, np.uint16), np.array(bonds, np.uint8))


def _by_kind(mol: Chem.Mol) -> Codes | None:
    """The same; RDKit is asked about kinds that are new. ``None`` where the binary form is not known."""
    form = binary_form(mol)
    if form is None:
        return None
    for kinds in (_ATOM_KINDS, _BOND_KINDS):
        if len(kinds) > _MOST_KINDS:
            kinds.clear()
    atoms, bonds = bytearray(), bytearray()
    for index, kind in enumerate(zip(form.atoms, form.degrees, form.in_ring, strict=True)):
        codes = _ATOM_KINDS.get(kind)
        if codes is None:
            codes = _ATOM_KINDS[kind] = bytes(encode_atom(mol.GetAtomWithIdx(index)))
        atoms += codes
    for index, said in enumerate(form.bonds):
        codes = _BOND_KINDS.get(said)
        if codes is None:
            codes = _BOND_KINDS[said] = bytes(encode_bond(mol.GetBondWithIdx(index)))
        bonds += codes
    ends = np.frombuffer(form.ends, np.uint8).astype(np.uint16)
    return _unlabelled(np.frombuffer(atoms, np.uint8), ends, np.frombuffer(bonds, np.uint8))


def _unlabelled(atoms: UInt8Array, ends: UInt16Array, bonds: UInt8Array) -> Codes:
    atom_codes = atoms.reshape(-1, len(ATOM_FEATURES))
    ogb_chirality = atom_codes[:, CHIRALITY].copy()
    atom_codes[:, CHIRALITY] = 0
    return Codes(atom_codes, ends.reshape(-1, 2), bonds.reshape(-1, len(BOND_FEATURES)), ogb_chirality)


@cache
def _knows_binary_form() -> bool:
    """Whether the binary form of this RDKit gives the codes that its atoms and bonds have."""
    for smiles in _PROBE:
        mol = Chem.MolFromSmiles(smiles)
        quick: tuple[Array, ...] | None = _by_kind(mol)
        slow: tuple[Array, ...] = _one_by_one(mol)
        if quick is None:
            return False
        if not all(np.array_equal(found, wanted) for found, wanted in zip(quick, slow, strict=True)):
            return False
    return True


def encode_atom(atom: Chem.Atom) -> tuple[int, ...]:
    """The nine OGB codes of ``atom``. Degree and hydrogens count implicit hydrogens too."""
    return _atom_codes(
        atom.GetAtomicNum(),
        atom.GetChiralTag(),
        atom.GetTotalDegree(),
        atom.GetFormalCharge(),
        atom.GetTotalNumHs(),
        atom.GetNumRadicalElectrons(),
        atom.GetHybridization(),
        atom.GetIsAromatic(),
        atom.IsInRing(),
    )


@lru_cache(maxsize=4096)  # a million drug-like molecules have a few hundred kinds of atoms
def _atom_codes(
    number: int,
    chirality: object,
    degree: int,
    charge: int,
    hydrogens: int,
    radicals: int,
    hybridisation: object,
    aromatic: bool,
    ring: bool,
) -> tuple[int, ...]:
    return (
        _NUMBER.encode(number),  # type: ignore[arg-type]
        _CHIRALITY_CODES[chirality],
        _DEGREE.encode(degree),  # type: ignore[arg-type]
        _CHARGE.encode(charge),  # type: ignore[arg-type]
        _HYDROGENS.encode(hydrogens),  # type: ignore[arg-type]
        _RADICALS.encode(radicals),  # type: ignore[arg-type]
        _HYBRIDISATION_CODES[hybridisation],
        int(aromatic),
        int(ring),
    )


def encode_bond(bond: Chem.Bond) -> tuple[int, int, int]:
    """The three OGB codes of ``bond``: type, stereo, conjugated."""
    return (
        _TYPE_CODES[bond.GetBondType()],
        _STEREO_CODES[bond.GetStereo()],
        int(bond.GetIsConjugated()),
    )


def heavy_atoms(mol: Chem.Mol) -> Chem.Mol:
    """``mol`` without any hydrogen atom; coordinates, chirality and hydrogen counts follow.

    Stricter than ``Chem.RemoveHs``, which keeps isotopes, hydrides, bridging and lone hydrogens: a
    hydrogen with a heavy neighbour is counted by that neighbour's "n_hydrogens" code, as if it had
    been implicit; one without is dropped (``[H][H]`` becomes a molecule of no atoms).

    Raises:
        ValueError: the molecule makes no sense without its hydrogens (RDKit's sanitisation says why).
    """
    if mol.GetNumAtoms() == mol.GetNumHeavyAtoms():  # most SMILES: removing nothing takes as long as parsing
        return Chem.Mol(mol)
    bare = Chem.RemoveAllHs(mol)
    left = [i for i in range(bare.GetNumAtoms()) if bare.GetAtomWithIdx(i).GetAtomicNum() == 1]
    if left:
        editable = Chem.RWMol(bare)
        for index in reversed(left):
            editable.RemoveAtom(index)
        bare = editable.GetMol()
        Chem.SanitizeMol(bare)
    set_directions(bare)
    return bare
