"""Molecules with stereochemistry for tests, and other writings of them.

Drugs and natural products by their usual SMILES, and stereoisomers of small hard frameworks: rings,
pseudo-asymmetric and dependent centres, sulfur, phosphorus, nitrogen in rings, isotopes, chains of
double bonds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from rdkit import Chem, rdBase
from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers, StereoEnumerationOptions

DRUGS = (
    "N[C@@H](C)C(=O)O",
    "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O",
    "CN[C@@H](C)[C@H](O)c1ccccc1",
    "COc1ccc2nccc([C@@H](O)[C@@H]3C[C@@H]4CC[N@]3C[C@@H]4C=C)c2c1",
    "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    "OC[C@H]1O[C@@](CO)(O[C@H]2O[C@H](CO)[C@@H](O)[C@H](O)[C@H]2O)[C@@H](O)[C@@H]1O",
    "C[C@]12CC[C@H]3[C@@H](CCC4=CC(=O)CC[C@@]34C)[C@@H]1CC[C@@H]2O",
    "C[C@H](CCCC(C)C)[C@H]1CC[C@@H]2[C@@]1(CC[C@H]3[C@H]2CC=C4[C@@]3(CC[C@@H](C4)O)C)C",
    "CN1CC[C@]23c4c5ccc(O)c4O[C@H]2[C@@H](O)C=C[C@H]3[C@H]1C5",
    "CC1(C)S[C@@H]2[C@H](NC(=O)Cc3ccccc3)C(=O)N2[C@H]1C(=O)O",
    "C[C@@H]1C[C@H]2[C@@H]3CCC4=CC(=O)C=C[C@@]4([C@]3([C@H](C[C@@]2([C@]1(C(=O)CO)O)C)O)F)C",
    "COc1ccc2[nH]c([S@@](=O)Cc3ncc(C)c(OC)c3C)nc2c1",
    "C[S@](=O)c1ccccc1",
    "O=C(O)/C=C/C(=O)O",
    "O=C(O)/C=C\\C(=O)O",
    "CC/C(=C(\\c1ccccc1)c1ccc(OCCN(C)C)cc1)c1ccccc1",
    "CC1=C(/C=C/C(C)=C/C=C/C(C)=C/CO)C(C)(C)CCC1",
    "CCCCC[C@H](O)/C=C/[C@H]1[C@H](O)CC(=O)[C@@H]1C/C=C\\CCCC(=O)O",
    "C[C@@H](O)[C@H]1C(=O)N2C(C(=O)O)=C(SCCN=CN)C[C@H]12",
    "OC(=O)[C@H](O)[C@@H](O)C(=O)O",
    "OC(=O)[C@H](O)[C@H](O)C(=O)O",
    "NC(=O)C[C@H](N)C(=O)N[C@@H](Cc1ccccc1)C(=O)OC",
    "CC(C)[C@@H]1CC[C@@H](C)C[C@H]1O",
    "CC1=CC[C@@H](CC1)C(C)=C",
    "C[C@@]12CC[C@@H](CC1=O)C2(C)C",
    "CC(=O)O[C@H]1C[C@@H]2CC[C@H](C1)N2C",
    "Cc1c(/C=N/O)cccc1",
    "CC(C)[C@H](NC(=O)[C@@H](C)NC(=O)[C@@H]1CCCN1)C(=O)N[C@H](CO)C(=O)O",
    "[2H][C@@H](C)O",
    "[13CH3][C@H](C)O",
    "C[P@](c1ccccc1)C1CCCCC1",
    "CP(=O)(O)OC",
    "C[N@+](CC)(CC=C)Cc1ccccc1",
    "C[C@@H]1CN1C",
    "Cl[C@H](F)Br.C/C=C/C",
    "O[C@H]1C[C@H](O)C[C@@H](O)C1",
    "[O-][S@+](C)c1ccccc1",
    "C[Si@](F)(Cl)c1ccccc1",
)
"""Of centres that RDKit keeps, and of some that it drops as none (the imine N of a ring, CP(=O)(O)OC)."""

FRAMEWORKS = (
    "CC1CCC(C)CC1",
    "CC1CC(C)C1",
    "FC1CCC(F)CC1",
    "CC1C(C)C(C)C1C",
    "OC(=O)C(O)C(O)C(O)C(=O)O",
    "CC(O)C(=CC)C(C)O",
    "CC=CC(O)C=CC",
    "CC1CCC2CCCCC2C1",
    "CC(O)C(O)C(C)O",
    "CC1CCC(CC1)C1CCC(C)CC1",
    "CS(=O)CCS(C)=O",
    "CC=CC1CC(C=CC)C1",
    "C1CC2CC1C=C2",
    "CC1OC1C",
    "CC(C)C1CCC(C)CC1O",
    "CN=NC",
    "CC(C)=NN=C(C)CC",
    "OC1CCC(=CC)CC1",
    "OC1CC(O)C1F",
)


def stereoisomers() -> list[str]:
    """SMILES of every stereoisomer of :data:`FRAMEWORKS`, each once."""
    options = StereoEnumerationOptions(onlyUnassigned=True, unique=True, maxIsomers=40)
    found: dict[str, None] = {}
    for text in FRAMEWORKS:
        mols = EnumerateStereoisomers(Chem.MolFromSmiles(text), options)
        found.update(dict.fromkeys(Chem.MolToSmiles(mol) for mol in mols))
    return list(found)


MOLECULES = [*DRUGS, *stereoisomers()]


def writings(smiles: str, count: int, seed: int) -> Iterator[tuple[object, list[int]]]:
    """The molecule of ``smiles`` as random SMILES and renumbered at random, by turns.

    With the number of each of its heavy atoms among the heavy atoms of ``smiles``.
    """
    mol = Chem.MolFromSmiles(smiles)
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() != 1]
    draw = random.Random(seed)
    rdBase.SeedRandomNumberGenerator(seed)
    for number in range(count):
        if number % 2:
            order = list(range(mol.GetNumAtoms()))
            draw.shuffle(order)
            written: object = Chem.RenumberAtoms(mol, order)
        else:
            written = Chem.MolToSmiles(mol, canonical=False, doRandom=True)
            order = list(mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
        yield written, [heavy.index(atom) for atom in order if atom in heavy]


def mirrored(mol: Chem.Mol) -> Chem.Mol:
    """The mirror image of ``mol``: every centre inverted."""
    other = Chem.RWMol(mol)
    for atom in other.GetAtoms():
        atom.InvertChirality()
    made = other.GetMol()
    Chem.AssignStereochemistry(made, cleanIt=True, force=True)
    return made
