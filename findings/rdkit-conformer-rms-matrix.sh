#!/usr/bin/env bash
# RDKit's GetConformerRMSMatrix is no matrix of best-fit RMSDs, and its values depend on which conformer stands first.
#
# With prealigned=False (the default) one expects each pair of conformers superposed before its RMSD is taken. All
# conformers are superposed on the first one only; pairs without it are measured as they then lie. For a
# flexible amide the matrix is up to 1.7 times the best-fit RMSD, and the same pair has other values when another
# conformer is put first. Butina clustering of this matrix, the recipe that goes with it, splits conformers
# that are alike, and the clusters follow the order of the input.
#
# Seen with: rdkit 2026.9.1, Python 3.11. AllChem.AlignMol superposes the same atoms in the same order, so no symmetry
# is involved in the difference.
# Output seen:
#   pairs with the first conformer:   19, largest excess over the best fit 0.000 A
#   pairs without it:                171, 40 more than 5 % above the best fit
#   worst pair: 1.682 A in the matrix, 0.956 A superposed
#   a pair before and after the conformers are reversed: 1.004 A, 1.349 A
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile rdkit==2026.9.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

from rdkit import Chem
from rdkit.Chem import AllChem, rdDistGeom, rdMolAlign

COUNT = 20


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


def matrix(mol, order):
    """{(i, j): value} of the flat lower triangle, for conformers put in ``order``, by their original numbers."""
    copy = Chem.Mol(mol)
    copy.RemoveAllConformers()
    for number in order:
        copy.AddConformer(mol.GetConformer(number), assignId=True)
    values = iter(AllChem.GetConformerRMSMatrix(copy))
    return {frozenset((order[i], order[j])): next(values) for i in range(1, COUNT) for j in range(i)}


mol = Chem.AddHs(Chem.MolFromSmiles("CCCCCCCC(=O)NCCc1ccccc1"))
rdDistGeom.EmbedMultipleConfs(mol, COUNT, randomSeed=7)
mol = Chem.RemoveHs(mol)
best = {
    frozenset((i, j)): rdMolAlign.AlignMol(Chem.Mol(mol), mol, prbCid=i, refCid=j) for i in range(COUNT) for j in range(i)
}
forward = matrix(mol, list(range(COUNT)))
backward = matrix(mol, list(reversed(range(COUNT))))

with_first = [pair for pair in best if 0 in pair]
others = [pair for pair in best if 0 not in pair]
excess = max(abs(forward[pair] - best[pair]) for pair in with_first)
above = [pair for pair in others if forward[pair] > 1.05 * best[pair]]
worst = max(others, key=lambda pair: forward[pair] / best[pair])
print(f"pairs with the first conformer:   {len(with_first)}, largest excess over the best fit {excess:.3f} A")
print(f"pairs without it:                {len(others)}, {len(above)} more than 5 % above the best fit")
print(f"worst pair: {forward[worst]:.3f} A in the matrix, {best[worst]:.3f} A superposed")
moved = max(others, key=lambda pair: abs(forward[pair] - backward[pair]))
print(f"a pair before and after the conformers are reversed: {forward[moved]:.3f} A, {backward[moved]:.3f} A")
check(excess < 1e-3, "pairs with the first conformer are not superposed")
check(len(above) >= 20 and forward[worst] > 1.5 * best[worst], "other pairs are superposed now")
check(abs(forward[moved] - backward[moved]) > 0.1, "the matrix no longer depends on the order of conformers")
PY
