#!/usr/bin/env bash
# RDKit's Uncharger, with its defaults, makes structures of some anions that no molecule has.
#
# rdMolStandardize.Uncharger is the usual step of registration and de-duplication that turns acids and bases into neutral forms.
# Given hexafluorophosphate, the counter-ion of many salts, it adds a hydrogen to phosphorus: seven neighbours. Given the
# cyclopentadienyl anion it takes the charge and adds nothing, so that an aromatic ring of five carbons with one hydrogen each is
# left, whose SMILES RDKit itself refuses to read. Tetrafluoroborate stays as it is. No warning is
# given, and the result passes for a molecule as long as it is not written and read again.
#
# Seen with: rdkit 2026.9.1, Python 3.11.
# Output seen:
#   F[P-](F)(F)(F)(F)F   F[PH](F)(F)(F)(F)F   cannot be read back
#   c1cc[cH-]c1          c1cccc1              cannot be read back
#   F[B-](F)(F)F         F[B-](F)(F)F         can be read back
#   CC(=O)[O-]           CC(=O)O              can be read back
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile rdkit==2026.9.1
"$work/venv/bin/python" - <<'PY'
import sys

from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

SEEN = (
    ("F[P-](F)(F)(F)(F)F", "F[PH](F)(F)(F)(F)F", False),
    ("c1cc[cH-]c1", "c1cccc1", False),
    ("F[B-](F)(F)F", "F[B-](F)(F)F", True),
    ("CC(=O)[O-]", "CC(=O)O", True),
)

rdBase.DisableLog("rdApp.*")
uncharger = rdMolStandardize.Uncharger()
for smiles, expected, readable in SEEN:
    found = Chem.MolToSmiles(uncharger.uncharge(Chem.MolFromSmiles(smiles)))
    again = Chem.MolFromSmiles(found) is not None
    print(f"{smiles:20} {found:20} {'can' if again else 'cannot'} be read back")
    if (found, again) != (expected, readable):
        sys.exit(f"changed: {smiles} gave {found}, {'can' if again else 'cannot'} be read back")
PY
