"""The one writing of a molecule that is embedded, whatever writing it came in.

RDKit's embedding is a function of the order of atoms and bonds, so equal molecules get equal coordinates only
if they are put in one order first. That order is the one in which RDKit parses the canonical SMILES; the
coordinates are then taken back to the order of the input. Atom maps and isotopes are no geometry and are left
out first, but for isotopes that make a stereo centre what it is.

Atoms that the molecule's own symmetry exchanges may change places between two writings. Other versions of
RDKit order (and embed) some molecules otherwise; a store's settings name the version.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rdkit import Chem

_PASSES: Final = 4
"""Times that the canonical SMILES is parsed and written again: for some molecules the first is not the
last."""


class Canonical(NamedTuple):
    """A molecule in canonical order.

    Attributes:
        mol: without atom maps, isotopes and coordinates.
        rows: for every atom of the input its atom in ``mol``.
        smiles: what ``mol`` was parsed from, the same for every writing.
    """

    mol: Chem.Mol
    rows: list[int]
    smiles: str


def canonical(mol: Chem.Mol) -> Canonical:
    """``mol`` (sanitised, heavy atoms only) as its canonical SMILES is parsed.

    What cannot be parsed back atom by atom (a bond that SMILES does not know) is put in the order of RDKit's
    canonical ranks instead, which leaves the order of its bonds and neighbours as it was.
    """
    bare = _without_labels(mol)
    reached: list[Canonical] = []
    current, rows = bare, list(range(bare.GetNumAtoms()))
    for _ in range(_PASSES):
        smiles = Chem.MolToSmiles(current)
        known = next((place for place, other in enumerate(reached) if other.smiles == smiles), None)
        if (
            known is not None
        ):  # almost always the last one: a fixed point; else the first of a cycle by its text
            return min(reached[known:], key=lambda each: each.smiles)
        parsed: Chem.Mol | None = Chem.MolFromSmiles(smiles)
        written: dict[int, int] = {atom: place for place, atom in enumerate(_output_order(current))}
        if parsed is None or parsed.GetNumAtoms() != len(rows):
            return _ranked(bare)
        current, rows = parsed, [written[row] for row in rows]
        reached.append(Canonical(current, rows, smiles))
    return reached[-1]


def _output_order(written: Chem.Mol) -> list[int]:
    """Atoms in the order in which ``MolToSmiles`` has just named them."""
    return list(written.GetPropsAsDict(includePrivate=True, includeComputed=True)["_smilesAtomOutputOrder"])


def _ranked(mol: Chem.Mol) -> Canonical:
    """``mol`` itself, its atoms in the order of their canonical ranks."""
    rows = list(Chem.CanonicalRankAtoms(mol, breakTies=True))
    order = sorted(range(len(rows)), key=rows.__getitem__)
    return Canonical(Chem.RenumberAtoms(mol, order), rows, Chem.MolToSmiles(mol))


def _without_labels(mol: Chem.Mol) -> Chem.Mol:
    """A copy without coordinates, atom maps and, where they decide about no stereo centre, isotopes."""
    bare = Chem.Mol(mol)
    bare.RemoveAllConformers()
    atoms = [bare.GetAtomWithIdx(index) for index in range(bare.GetNumAtoms())]
    for atom in atoms:
        atom.SetAtomMapNum(0)
    Chem.AssignStereochemistry(bare, cleanIt=True, force=True)
    if not any(atom.GetIsotope() for atom in atoms):
        return bare
    unlabelled = Chem.Mol(bare)
    for index in range(unlabelled.GetNumAtoms()):
        atom = unlabelled.GetAtomWithIdx(index)
        if atom.GetAtomicNum():  # [1*] and [2*] name places, and tell them apart
            atom.SetIsotope(0)
    Chem.AssignStereochemistry(unlabelled, cleanIt=True, force=True)
    return unlabelled if _stereo_count(unlabelled) == _stereo_count(bare) else bare


def _stereo_count(mol: Chem.Mol) -> int:
    """Atoms and bonds with a sense."""
    unspecified = (Chem.BondStereo.STEREONONE, Chem.BondStereo.STEREOANY)
    atoms = (mol.GetAtomWithIdx(index).GetChiralTag() for index in range(mol.GetNumAtoms()))
    bonds = (mol.GetBondWithIdx(index).GetStereo() for index in range(mol.GetNumBonds()))
    return sum(tag != Chem.ChiralType.CHI_UNSPECIFIED for tag in atoms) + sum(
        stereo not in unspecified for stereo in bonds
    )
