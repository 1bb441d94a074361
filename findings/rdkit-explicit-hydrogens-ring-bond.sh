#!/usr/bin/env bash
# Double bonds in rings of eight atoms and more: removing explicit hydrogens turns E into Z and Z into E, silently.
#
# A SMILES may carry the stereochemistry of a ring double bond on its two hydrogens, [H]/C1=C(/[H])CCCCCC1: they are on
# opposite sides, so the ring's carbons are too, which is trans-cyclooctene (E). RDKit reads E while the hydrogens are kept,
# and InChI agrees. With the default settings, which remove hydrogens, the same molecule is Z. After Chem.RemoveHs its label
# still says E, but the SMILES that is written is that of Z. Open chains keep theirs. So a list with explicit hydrogens (as AddHs or some programs write it) and one without
# have the isomers exchanged; no message says so.
#
# Seen with: rdkit 2026.9.1, Python 3.11.
# Output seen:
#   E-cyclooctene  hydrogens kept: E   removed: Z
#   Z-cyclooctene  hydrogens kept: Z   removed: E
#   E-cyclodecene  hydrogens kept: E   removed: Z
#   E-2-butene     hydrogens kept: E   removed: E
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

# name, SMILES with hydrogens, its stereochemistry, and that after hydrogens were removed
CASES = (
    ("E-cyclooctene", "[H]/C1=C(/[H])CCCCCC1", "E", "Z"),
    ("Z-cyclooctene", "[H]/C1=C(\\[H])CCCCCC1", "Z", "E"),
    ("E-cyclodecene", "[H]/C1=C(/[H])CCCCCCCC1", "E", "Z"),
    ("E-2-butene", "[H]/C(C)=C(/[H])C", "E", "E"),
)
INCHI = {"+": "E", "-": "Z"}  # for these molecules: + is opposite sides


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


def stereo(mol):
    (bond,) = [bond for bond in mol.GetBonds() if bond.GetBondType() == Chem.BondType.DOUBLE]
    return str(bond.GetStereo()).removeprefix("STEREO")


keep = Chem.SmilesParserParams()
keep.removeHs = False
for name, smiles, kept_as, removed_as in CASES:
    kept = Chem.MolFromSmiles(smiles, keep)
    plain = Chem.MolFromSmiles(smiles)
    print(f"{name:14} hydrogens kept: {stereo(kept)}   removed: {stereo(plain)}")
    check(stereo(kept) == kept_as, f"{name} with hydrogens is {stereo(kept)}")
    check(INCHI[Chem.MolToInchi(kept)[-1]] == kept_as, f"the InChI of {name} is {Chem.MolToInchi(kept)}")
    check(stereo(plain) == removed_as, f"{name} as read by default is {stereo(plain)}")
    bare = Chem.RemoveHs(kept)
    written = stereo(Chem.MolFromSmiles(Chem.MolToSmiles(bare)))
    check(stereo(bare) == kept_as, f"the label of {name} after RemoveHs is {stereo(bare)}")
    check(written == removed_as, f"the SMILES of {name} after RemoveHs is {written}")
PY
