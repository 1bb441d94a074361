#!/usr/bin/env bash
# Descriptors of a molecule that was edited in place are those of the molecule before the edit, even after SanitizeMol.
#
# RDKit's Python descriptors keep partial results as attributes of the Python object (mol._chargeDescriptors,
# mol.__BCUT2D and others). Edits do not clear them, and neither do SanitizeMol, UpdatePropertyCache or
# ClearComputedProps, which know the C++ caches only. After a second call on the same object 22 of 217 values are stale:
# partial charges, BCUT2D, EState_VSA, VSA_EState. SMILES, weight, TPSA and logP of the same object are right, so the table
# mixes two molecules. The usual case: descriptors, then Uncharger.unchargeInPlace, then descriptors again.
# A copy (Chem.Mol(mol)) is free of it.
#
# Seen with: rdkit 2026.9.1 (also 2026.3.5), Python 3.11.
# Output seen:
#   CCCCO edited to CCCCS: 217 descriptors, 22 wrong, 22 of them the values of CCCCO
#   after ClearComputedProps and SanitizeMol: 22 wrong
#   of a copy: 0 wrong
#   acetate neutralised in place: CC(=O)O, MinPartialCharge -0.550 (acetic acid -0.481, acetate -0.550)
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile rdkit==2026.9.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import math
import sys

from rdkit import Chem
from rdkit.Chem import Descriptors
from rdkit.Chem.MolStandardize import rdMolStandardize


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


def wrong(mol, right):
    values = Descriptors.CalcMolDescriptors(mol)
    return {name for name in right if not math.isclose(values[name], right[name], rel_tol=1e-9, abs_tol=1e-9)}


mol = Chem.RWMol(Chem.MolFromSmiles("CCCCO"))
before = Descriptors.CalcMolDescriptors(mol)
mol.ReplaceAtom(4, Chem.Atom(16))
Chem.SanitizeMol(mol)
check(Chem.MolToSmiles(mol) == "CCCCS", "the edit itself")
right = Descriptors.CalcMolDescriptors(Chem.MolFromSmiles("CCCCS"))
stale = wrong(mol, right)
kept = stale - wrong(mol, before)
print(f"CCCCO edited to CCCCS: {len(right)} descriptors, {len(stale)} wrong, {len(kept)} of them the values of CCCCO")
check(len(stale) == 22 and kept == stale, f"{len(stale)} stale descriptors: {sorted(stale)}")
check({"MinPartialCharge", "BCUT2D_MWHI", "VSA_EState7"} <= stale, "which descriptors are stale")
check(not {"MolWt", "TPSA", "MolLogP"} & stale, "weight, TPSA or logP are stale too")

mol.ClearComputedProps()
Chem.SanitizeMol(mol)
print(f"after ClearComputedProps and SanitizeMol: {len(wrong(mol, right))} wrong")
check(wrong(mol, right) == stale, "ClearComputedProps clears them now")
print(f"of a copy: {len(wrong(Chem.Mol(mol), right))} wrong")
check(not wrong(Chem.Mol(mol), right), "a copy is stale too")

ion = Chem.MolFromSmiles("CC(=O)[O-]")
of_ion = Descriptors.MinPartialCharge(ion)
rdMolStandardize.Uncharger().unchargeInPlace(ion)
of_acid = Descriptors.MinPartialCharge(Chem.MolFromSmiles("CC(=O)O"))
told = Descriptors.MinPartialCharge(ion)
print(
    f"acetate neutralised in place: {Chem.MolToSmiles(ion)}, MinPartialCharge {told:.3f}"
    f" (acetic acid {of_acid:.3f}, acetate {of_ion:.3f})"
)
check(Chem.MolToSmiles(ion) == "CC(=O)O" and told == of_ion and abs(told - of_acid) > 0.05, "charges after uncharging")
PY
