"""Identities of molecules: equal for every writing of one molecule, at every level where two are alike."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

import pytest
from rdkit import Chem, rdBase

from moleblend_plugin.chem.identity.likeness import LEVELS, Likeness, identity, likeness, written_identity
from moleblend_plugin.chem.identity.parents import COMPANIONS, flat_text
from moleblend_plugin.chem.identity.scaffold import scaffold_of

ORDER = ("exact", "unlabelled", "connectivity", "parent", "tautomers")
REAL = Path(__file__).parents[2] / "examples" / "00_demo" / "freesolv.csv"
HARD = [
    "C[C@H](N)C(=O)O",
    "C[NH2+]CC[C@H](Oc1ccccc1C)c1ccccc1.[Cl-]",
    "O=C([O-])/C=C/C(=O)[O-].[Na+].[Na+]",
    "CC[S@+]([O-])C",
    "C[N+](C)(C)CC(=O)[O-]",
    "[2H]C([2H])([2H])O[13CH2]C",
    "O=C1[OH+][Co-2]23([OH+]c4ccccc4C=[N+]2CC[N+]3=Cc2ccccc21)Cl",
    "[NH3]->[Pt](Cl)(Cl)<-[NH3]",
    "[O-][Cl+3]([O-])([O-])[O-].c1cc[nH+]cc1",
    "CN=[N+]=[N-]",
    "C[P+](C)(C)[O-]",
    "O[C@H]1[C@@H](O)[C@H](O)[C@@H](CO)O[C@@H]1O",
]


def of(smiles: str) -> Likeness:
    with rdBase.BlockLogs():
        return likeness(Chem.MolFromSmiles(smiles))


def same_from(one: str, other: str) -> str:
    """The finest level at which two molecules agree; "" where they never do."""
    first, second = of(one), of(other)
    agree = [
        bool(set(first.tautomers) & set(second.tautomers))
        if level == "tautomers"
        else getattr(first, level) == getattr(second, level)
        for level in ORDER
    ]
    assert agree == sorted(agree)  # what agrees at a level agrees at all that follow
    return ORDER[agree.index(True)] if any(agree) else ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[CH3:1][CH2:2][OH:3]", "CCO"),  # atom-map numbers
        ("[CH3:1][C@](F)(Cl)[CH3:2]", "CC(C)(F)Cl"),  # and a centre that only they make
        ("N[C@@H:7](C)[C:2](=O)O", "N[C@@H](C)C(=O)O"),
        ("[H]C([H])([H])O[H]", "CO"),  # explicit hydrogens
        ("C1=CC=CC=C1", "c1ccccc1"),  # Kekule
        ("CN(=O)=O", "C[N+](=O)[O-]"),  # valence of nitrogen
        ("C[N-][N+]#N", "CN=[N+]=[N-]"),
        ("[CH2-][N+]#N", "C=[N+]=[N-]"),
        ("C[S+](C)[O-]", "CS(C)=O"),  # hypervalent atoms
        ("C[S@+]([O-])CC", "C[S@](=O)CC"),
        ("C[P+](C)(C)[CH2-]", "C=P(C)(C)C"),
        ("OCl(=O)(=O)=O", "[O-][Cl+3]([O-])([O-])O"),
        ("[NH3+][Pt-2]([NH3+])(Cl)Cl", "[NH3]->[Pt](<-[NH3])(Cl)Cl"),  # donors and metals
        ("[NH3]~[Pt](~[NH3])(Cl)Cl", "[NH3]->[Pt](<-[NH3])(Cl)Cl"),
        ("CC(=O)O[Na]", "CC(=O)[O-].[Na+]"),  # salts
        ("[K]Cl", "[K+].[Cl-]"),
        ("Cl[Mg]Cl", "[Mg+2].[Cl-].[Cl-]"),
        ("N[C+](N)N", "NC(=[NH2+])N"),  # mesomers
    ],
)
def test_writings_of_one_molecule(one: str, other: str) -> None:
    assert same_from(one, other) == "exact"


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("[2H]OC", "CO", "unlabelled"),
        ("[13CH3][C@H](C)O", "CC(C)O", "unlabelled"),  # a centre that only the isotope makes
        ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "connectivity"),
        ("C[C@H](N)C(=O)O", "CC(N)C(=O)O", "connectivity"),
        ("F/C=C/F", "F/C=C\\F", "connectivity"),
        ("[H]/N=C(\\N)C", "CC(=N)N", "connectivity"),
        ("CCCCCC(=O)O", "CCCCCC(=O)[O-].[Na+]", "parent"),
        ("CCN(CC)CC", "CC[NH+](CC)CC.[Cl-]", "parent"),
        ("CCN(CC)CC", "CCN(CC)CC.Cl", "parent"),
        ("NCC(=O)O", "[NH3+]CC(=O)[O-]", "parent"),  # a zwitterion
        ("C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CC(=O)O.[Cl-]", "parent"),
        ("c1cc[nH+]cc1.[Br-]", "c1ccncc1", "parent"),
        ("c1nnn[n-]1.[K+]", "c1nnn[nH]1", "parent"),
        ("OC(=O)c1ccncc1.O", "OC(=O)c1ccncc1", "parent"),
        ("C[C@H]([NH3+])c1ccccc1.[Cl-]", "C[C@@H](N)c1ccccc1", "parent"),
        ("Oc1ccccn1", "O=c1cccc[nH]1", "tautomers"),
        ("Cc1cc[nH]n1", "Cc1ccn[nH]1", "tautomers"),
        ("CNC(=N)N", "CN=C(N)N", "tautomers"),
        ("CC(=O)CC(C)=O", "CC(O)=CC(C)=O", "tautomers"),
        ("CC(=O)[CH-]C(C)=O", "CC(O)=CC(C)=O", "tautomers"),
        ("CCO", "COC", ""),
        ("[Na+].[Cl-]", "[K+].[Cl-]", ""),
        ("C[N+](C)(C)C.[OH-]", "CN(C)C", ""),  # quaternary nitrogen keeps its carbon and charge
    ],
)
def test_the_closest_level(one: str, other: str, level: str) -> None:
    assert same_from(one, other) == level


@pytest.mark.parametrize(
    ("smiles", "parent"),
    [
        ("CN(C)C(=N)NC(=N)N.Cl", "CN(C)C(=N)NC(=N)N"),
        # the counter-ion is larger than the drug
        ("CN(C)C(=N)NC(=N)N.OC(=O)c1cc2ccccc2c(Cc2c(O)c(C(=O)O)cc3ccccc23)c1O", "CN(C)C(=N)NC(=N)N"),
        ("C[N+](C)(C)CCO.[Cl-]", "C[N+](C)(C)CCO"),
        ("CC(=O)[O-].CC(=O)[O-].[Zn+2]", "CC(=O)O"),
        ("[O-]C(=O)C[N+](=O)[O-].[Na+]", "O=C(O)C[N+](=O)[O-]"),
        ("[Na+].[Cl-]", "[Cl-].[Na+]"),
        ("O.[Na+].[Cl-]", "[Cl-].[Na+]"),
        ("N.N.Cl[Pt]Cl", "N.N.[Cl][Pt][Cl]"),
        ("[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1", "[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1"),
        ("[Li+].CCC[CH2-]", "[CH2-]CCC.[Li+]"),
        ("F[P-](F)(F)(F)(F)F.CCn1cc[n+](C)c1", "CCn1cc[n+](C)c1"),
        ("[B-](c1ccccc1)(c1ccccc1)(c1ccccc1)c1ccccc1.[Na+]", "c1ccc([B-](c2ccccc2)(c2ccccc2)c2ccccc2)cc1"),
        ("[O-][n+]1ccccc1", "[O-][n+]1ccccc1"),
        ("[C-]#N.[K+]", "C#N"),
        ("O", "O"),
    ],
)
def test_parents_by_hand(smiles: str, parent: str) -> None:
    assert of(smiles).parent == parent
    assert of(of(smiles).parent).parent == parent  # a parent is its own parent


def written(mol: Chem.Mol, kind: str) -> str:
    copy = Chem.Mol(mol)
    if kind == "maps":
        for atom in copy.GetAtoms():
            atom.SetAtomMapNum((atom.GetIdx() * 7) % 41 + 1)
        return Chem.MolToSmiles(copy)
    if kind == "hydrogens":
        return Chem.MolToSmiles(Chem.AddHs(copy), allHsExplicit=True)
    if kind == "kekule":
        Chem.Kekulize(copy)
        return Chem.MolToSmiles(copy, kekuleSmiles=True)
    return str(Chem.MolToRandomSmilesVect(copy, 1, randomSeed=5)[0])


@pytest.mark.parametrize("kind", ["maps", "hydrogens", "kekule", "order"])
def test_every_level_is_free_of_the_writing(kind: str) -> None:
    with REAL.open() as file:
        real = [row["smiles"] for row in islice(csv.DictReader(file), 0, None, 8)]
    assert len(real) > 70
    for smiles in [*HARD, *real]:
        mol = Chem.MolFromSmiles(smiles)
        other = Chem.MolFromSmiles(written(mol, kind))
        assert likeness(other) == likeness(mol), smiles


def test_one_level_at_a_time_gives_the_same_texts() -> None:
    for smiles in HARD:
        whole = of(smiles)
        assert {level: identity(smiles, level) for level in LEVELS} == {
            level: getattr(whole, level) for level in LEVELS
        }
        assert written_identity(Chem.MolToSmiles(Chem.MolFromSmiles(smiles))) == whole.exact


@pytest.mark.parametrize(
    "smiles",
    [
        "CCO[N+](=O)[O-]",
        "O=[N+]([O-])c1ccccc1.[Na+].[Cl-]",
        "[2H]OC.O",
        "CC(=O)O[Na].[Br-]",
        "[Cl-].C[S+](C)[O-]",
    ],
)
def test_the_quick_way_gives_the_same_text(smiles: str) -> None:
    canonical = Chem.MolToSmiles(Chem.MolFromSmiles(smiles))
    assert written_identity(canonical) == of(smiles).exact


def test_text_that_rdkit_does_not_read_is_its_own() -> None:
    assert identity("not a molecule") == "not a molecule"


def test_companions_are_molecules_and_none_is_there_twice() -> None:
    texts = [flat_text(Chem.MolFromSmiles(smiles)) for smiles in COMPANIONS.split()]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("chiral", [True, False])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[CH3:3][c:1]1[cH:9][cH:2][cH:4][cH:5][n:6]1", "Cc1ccccn1"),
        ("O1C[C@@H:4]([CH:5]2CC2)CC1", "O1C[C@@H](C2CC2)CC1"),
        ("C[13c]1ccccc1", "Cc1ccccc1"),
        ("[2H]C1([2H])CC1C", "CC1CC1"),
    ],
)
def test_maps_and_isotopes_are_no_part_of_a_scaffold(one: str, other: str, chiral: bool) -> None:
    assert scaffold_of(one, chiral) == scaffold_of(other, chiral) != ""
