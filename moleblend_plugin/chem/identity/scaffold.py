"""Bemis-Murcko scaffolds, and the split that keeps every scaffold on one side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

from moleblend_plugin.chem.identity.writings import without_isotopes, without_maps
from moleblend_plugin.chem.reading import from_smiles, pinned


def scaffold_of(smiles: str, chiral: bool = True) -> str:
    """Bemis-Murcko scaffold of ``smiles`` as SMILES; "" without rings, or where RDKit does not read it.

    Atom-map numbers and isotopes are no part of a scaffold.

    Args:
        smiles: a molecule.
        chiral: whether stereoisomers of a scaffold differ.
    """
    with rdBase.BlockLogs(), pinned():
        mol = from_smiles(smiles)
        return "" if mol is None else scaffold_of_mol(mol, chiral)


def scaffold_of_mol(mol: Chem.Mol, chiral: bool = True) -> str:
    """The same of a molecule at hand. RDKit may write warnings."""
    murcko: Any = MurckoScaffold  # its functions are untyped
    with pinned():
        bare = without_isotopes(without_maps(mol))
        return str(Chem.MolToSmiles(murcko.GetScaffoldForMol(bare), isomericSmiles=chiral))


def stereo_free(mol: Chem.Mol) -> str:
    """Canonical SMILES without stereochemistry, isotopes and atom-map numbers."""
    smiles = str(Chem.MolToSmiles(without_maps(mol), isomericSmiles=False))
    if "[H]" not in smiles:
        return smiles
    # Atoms of deuterium have become plain hydrogens: reading takes those in, as in any other molecule.
    with rdBase.BlockLogs():
        return str(Chem.MolToSmiles(Chem.MolFromSmiles(smiles)))


def scaffold_split(scaffolds: Sequence[str], sizes: Sequence[float]) -> list[int]:
    """Part (0, 1, 2, ...) of every molecule, from its scaffold.

    Sets of one scaffold are placed whole, largest first (ties: the set whose first molecule comes last
    goes first), into the first part that still has room; the last part takes what fits nowhere. The
    same rule as in DeepChem and OGB, so parts equal theirs on equal scaffolds.

    Args:
        scaffolds: scaffold of every molecule, in input order.
        sizes: fraction of molecules for each part; they sum to 1.
    """
    sets: dict[str, list[int]] = {}
    for index, scaffold in enumerate(scaffolds):
        sets.setdefault(scaffold, []).append(index)
    order = sorted(sets.values(), key=lambda members: (len(members), members[0]), reverse=True)
    parts = [0] * len(scaffolds)
    limits = _limits(len(scaffolds), sizes)
    held = [0] * len(sizes)
    for members in order:
        part = 0
        # Room is counted over all parts up to this one, as DeepChem does.
        while part < len(sizes) - 1 and sum(held[: part + 1]) + len(members) > limits[part]:
            part += 1
        held[part] += len(members)
        for index in members:
            parts[index] = part
    return parts


def _limits(count: int, sizes: Sequence[float]) -> list[float]:
    total, limits = 0.0, []
    for size in sizes:
        total += size
        limits.append(total * count)
    return limits
