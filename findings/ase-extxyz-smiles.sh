#!/usr/bin/env bash
# A SMILES in the comment line of an extended XYZ file comes back from ASE as another molecule, or as False.
#
# ASE writes Atoms.info as key=value pairs and quotes a value only where it holds blanks or brackets. Its reader takes
# a backslash outside quotes for an escape and drops it, and guesses a type from what is left. So a Z double bond
# (one / and one \) returns without its stereo; HF, whose SMILES may be written F, returns as the boolean
# False (F is also "false"); a name such as 007 returns as the number 7. Nothing is said, and most SMILES survive, so a few
# tests on other molecules show nothing. ASE's own .traj and .db formats keep every one of these values.
#
# Seen with: ase 3.29.0, Python 3.11; rdkit 2026.9.1 only names the stereo of what came back.
# Output seen:
#   'C/C=C\\C' -> 'C/C=CC': ['STEREOZ'] -> ['STEREONONE']
#   'CCC/C(C)=N\\O' -> 'CCC/C(C)=NO': ['STEREOZ'] -> ['STEREONONE']
#   'CCCCCCCC/C=C\\CCCCCCCC(=O)O' -> 'CCCCCCCC/C=CCCCCCCCC(=O)O': ['STEREOZ', 'STEREONONE'] -> ['STEREONONE', 'STEREONONE']
#   'F' -> False (bool)
#   'T' -> True (bool)
#   '007' -> 7 (int64)
#   the same values through .traj: kept
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile ase==3.29.0 rdkit==2026.9.1
"$work/venv/bin/python" - "$work" <<'PY'
import sys

import ase.io
from ase import Atoms
from rdkit import Chem

folder = sys.argv[1]


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


def through(suffix, value):
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])  # the geometry plays no part
    atoms.info["note"] = value
    path = f"{folder}/file.{suffix}"
    ase.io.write(path, atoms)
    return ase.io.read(path).info["note"]


def stereo(smiles):
    bonds = Chem.MolFromSmiles(smiles).GetBonds()
    return [str(bond.GetStereo()) for bond in bonds if bond.GetBondTypeAsDouble() == 2.0]


for smiles, expected in (
    ("C/C=C\\C", "C/C=CC"),
    ("CCC/C(C)=N\\O", "CCC/C(C)=NO"),
    ("CCCCCCCC/C=C\\CCCCCCCC(=O)O", "CCCCCCCC/C=CCCCCCCCC(=O)O"),
):
    back = through("extxyz", smiles)
    print(f"{smiles!r} -> {back!r}: {stereo(smiles)} -> {stereo(back)}")
    check(back == expected, f"{smiles!r} came back as {back!r}")
    check("STEREOZ" in stereo(smiles) and "STEREOZ" not in stereo(back), f"stereo of {smiles!r}")

for value in ("C/C=C/C", "O=C=O", "C[C@H](F)Cl", "[Na+].[Cl-]"):
    check(through("extxyz", value) == value, f"{value!r} is no longer kept")

for value, expected in (("F", False), ("T", True), ("007", 7)):
    back = through("extxyz", value)
    print(f"{value!r} -> {back} ({type(back).__name__})")
    check(type(back) is not str and back == expected, f"{value!r} came back as {back!r}")

for value in ("C/C=C\\C", "F", "007"):
    check(through("traj", value) == value, f"traj does not keep {value!r}")
print("the same values through .traj: kept")
PY
