#!/usr/bin/env bash
# RDKit's DetermineBonds refuses bicyclo[1.1.1]pentanes, and blames the charge.
#
# Bonds are perceived from the relaxed geometry of a neutral molecule. The two bridgeheads of a bicyclo[1.1.1]pentane,
# the usual stand-in for a benzene ring in drug design, are 1.88 A apart and not bonded; the default method (connect the
# dots) bonds them. What follows is an error about the molecular charge or a valence, so users try other charges; the
# charge of 2 that the message names fails as well. covFactor, the documented knob for bond lengths, is not looked at
# unless useVdw=True. On QM9's 128,741 geometries (B3LYP minima) this is the only kind of failure in the connectivity:
# 6,795 molecules (5.3 %), every one with an added bond between atoms that face each other across a small bridged ring
# (98.6 % C-C, the rest C-N), every one refused, none misread in silence. useVdw=True with covFactor=1.15 reads 1,137
# of a sample of 1,138 of them.
#
# Seen with: rdkit 2026.9.1, Python 3.11. The geometries below are QM9's numbers 105, 106 and 316 (CC0).
# Output seen:
#   bicyclo[1.1.1]pentane          bridgeheads 1.879 A  charge 0: ValueError: Final molecular charge (0) does not match inpu
#   2-oxabicyclo[1.1.1]pentane     bridgeheads 1.785 A  charge 0: ValueError: Unable to determine valence of atom 4 with ato
#   1-methylbicyclo[1.1.1]pentane  bridgeheads 1.888 A  charge 0: ValueError: Final molecular charge (0) does not match inpu
#   covFactor=1.15 alone: the same errors; useVdw=True, covFactor=1.15: the right molecules
#   bicyclo[1.1.1]pentane with charge 2: AtomValenceException: Explicit valence for atom # 1 C, 5, is
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
from rdkit.Chem import rdDetermineBonds

BRIDGED = """
C -0.0446 1.5704 0.0110
C 1.4741 1.2298 -0.0067
C 1.1683 0.1443 1.0664
C 0.0391 0.0162 0.0024
C 1.1462 0.1542 -1.0827
H -0.4330 2.0365 0.9213
H -0.4523 2.0457 -0.8859
H 2.3071 1.9344 -0.0121
H 1.8735 -0.6889 1.1373
H 0.8721 0.5020 2.0568
H -0.7939 -0.6883 0.0076
H 0.8300 0.5207 -2.0636
H 1.8497 -0.6783 -1.1756
"""
OXA = """
C -0.0618 1.5931 0.0247
C 1.4325 1.1911 0.0131
C 1.1543 0.1375 1.1119
C 0.0596 0.0504 0.0216
O 1.1184 0.1649 -1.0096
H -0.4608 2.0801 0.9186
H -0.4308 2.0303 -0.9037
H 2.3166 1.8087 -0.1490
H 1.8511 -0.7010 1.1362
H 0.8685 0.4891 2.1069
H -0.7107 -0.7065 -0.1302
"""
METHYL = """
C -0.0178 1.4810 0.0117
C 0.0018 -0.0249 0.0007
C 0.6260 -0.9603 -1.0841
C 0.0261 -1.9125 -0.0129
C 0.6421 -0.9757 1.0625
C -1.2254 -0.9921 0.0028
H 0.9993 1.8885 0.0058
H -0.5416 1.8751 -0.8663
H -0.5264 1.8620 0.9043
H 0.1447 -0.9583 -2.0670
H 1.7166 -0.9446 -1.1745
H 0.0400 -3.0028 -0.0207
H 1.7338 -0.9611 1.1367
H 0.1758 -0.9878 2.0525
H -1.8355 -1.0053 0.9112
H -1.8494 -0.9927 -0.8964
"""
CASES = (
    ("bicyclo[1.1.1]pentane", BRIDGED, (1, 3), "C1C2CC1C2"),
    ("2-oxabicyclo[1.1.1]pentane", OXA, (1, 3), "C1C2CC1O2"),
    ("1-methylbicyclo[1.1.1]pentane", METHYL, (1, 3), "CC12CC(C1)C2"),
)


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


def read(text):
    atoms = text.strip().splitlines()
    return Chem.MolFromXYZBlock("\n".join([str(len(atoms)), "", *atoms, ""]))


def perceived(text, **options):
    """SMILES without stereo, or the error."""
    mol = read(text)
    try:
        rdDetermineBonds.DetermineBonds(mol, **options)
    except ValueError as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return Chem.MolToSmiles(Chem.RemoveAllHs(mol), isomericSmiles=False)


for name, text, (i, j), smiles in CASES:
    conformer = read(text).GetConformer()
    apart = conformer.GetAtomPosition(i).Distance(conformer.GetAtomPosition(j))
    default = perceived(text, charge=0)
    print(f"{name:30} bridgeheads {apart:.3f} A  charge 0: {default[:58]}")
    check(1.75 < apart < 1.95, "the geometry")
    check("charge" in default or "valence" in default, f"{name} is read as {default}")
    bonded = read(text)
    rdDetermineBonds.DetermineConnectivity(bonded)
    check(bonded.GetBondBetweenAtoms(i, j) is not None, "the bridgeheads are no longer bonded")
    check(perceived(text, charge=0, covFactor=1.15) == default, "covFactor counts without useVdw now")
    right = Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)
    found = perceived(text, charge=0, useVdw=True, covFactor=1.15)
    check(found == right, f"useVdw=True, covFactor=1.15 reads {found}")
print("covFactor=1.15 alone: the same errors; useVdw=True, covFactor=1.15: the right molecules")
charged = perceived(BRIDGED, charge=2)
print(f"bicyclo[1.1.1]pentane with charge 2: {charged[:60]}")
check("Exception" in charged, f"charge 2 gives {charged}")
PY
