#!/usr/bin/env bash
# RDKit's UFF lays fluorine atoms of PF6- and SF5 groups on one another, and reports convergence.
#
# Hexafluorophosphate, the counter-ion of many salts and coupling reagents, has "all UFF parameters" and is not covered by
# MMFF94, so scripts that fall back on UFF relax it there. Embedding starts with pairs of fluorine atoms about 1 A apart (there is
# no octahedron in the distance bounds, and the 1,3 pairs have no repulsion in UFF), and most starts end in a
# minimum with two of them 0.8 to 0.9 A apart, closer than any two atoms but hydrogens: return value 0,
# "converged". For the SF5 group UFFHasAllMoleculeParams says False, yet UFFOptimizeMolecule does not refuse:
# it returns 0 and two fluorine atoms share a place, at 0.00 A. The right distances are 2.2 A; a few starts find them.
# MMFF94 refuses both, which is the better answer.
#
# Seen with: rdkit 2026.9.1, Python 3.11, seeds 1 to 10 for each molecule.
# Output seen:
#   F[P-](F)(F)(F)(F)F       UFF parameters True   10 of 10 converged  F..F under 1.2 A in 8, closest 0.84
#   FP(F)(F)(F)F             UFF parameters True   10 of 10 converged  F..F under 1.2 A in 6, closest 0.83
#   FS(F)(F)(F)(F)c1ccccc1   UFF parameters False  10 of 10 converged  F..F under 1.2 A in 10, closest 0.00
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile rdkit==2026.9.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys
from itertools import combinations

from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom
from rdkit.Chem import rdForceFieldHelpers as ff

# SMILES, whether UFF says that it has all parameters, fewest of ten seeds that end with coinciding fluorine atoms
CASES = (("F[P-](F)(F)(F)(F)F", True, 5), ("FP(F)(F)(F)F", True, 3), ("FS(F)(F)(F)(F)c1ccccc1", False, 8))
SEEDS = range(1, 11)


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


def closest_fluorines(mol):
    conformer = mol.GetConformer()
    places = [conformer.GetAtomPosition(a.GetIdx()) for a in mol.GetAtoms() if a.GetSymbol() == "F"]
    return min(a.Distance(b) for a, b in combinations(places, 2))


rdBase.DisableLog("rdApp.*")
for smiles, has_all, fewest in CASES:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    converged, distances = 0, []
    for seed in SEEDS:
        check(rdDistGeom.EmbedMolecule(mol, randomSeed=seed) == 0, f"{smiles} cannot be embedded")
        converged += ff.UFFOptimizeMolecule(mol, maxIters=20000) == 0
        distances.append(closest_fluorines(mol))
    short = sum(d < 1.2 for d in distances)
    said = ff.UFFHasAllMoleculeParams(mol)
    print(
        f"{smiles:24} UFF parameters {said!s:5}  {converged} of 10 converged"
        f"  F..F under 1.2 A in {short}, closest {min(distances):.2f}"
    )
    check(bool(said) is has_all, f"UFF parameters of {smiles}")
    check(not ff.MMFFHasAllMoleculeParams(mol), f"MMFF94 knows {smiles} now")
    check(converged == 10, f"{smiles} does not converge")
    check(short >= fewest, f"only {short} of 10 runs of {smiles} end with coinciding atoms")
    if not has_all:
        check(min(distances) < 0.05, f"fluorine atoms of {smiles} stay {min(distances):.2f} A apart")
PY
