#!/usr/bin/env bash
# The MAP fingerprint of scikit-fingerprints depends on how a SMILES is written: CCO and OCC have a Tanimoto similarity of 0.5.
#
# A fingerprint describes a molecule, so two writings of one molecule should give one vector, as ECFP does. MAP
# joins the environments of two atoms into one text per pair; the order of the two follows the order of atoms in the input, so
# the pair A-B of one writing is B-A in another and is hashed to another bit. Aspirin in its two usual writings is
# 0.65 similar to itself. Duplicates are not found, neighbours from another supplier look far away, and a model
# trained on canonical SMILES predicts differently for the same molecule as a chemist types it.
# Canonical SMILES on input are free of it, as long as one RDKit version wrote them all.
#
# Seen with: scikit-fingerprints 2.1.0 with rdkit 2026.3.5, Python 3.11.
# Output seen:
#   CCO / OCC: MAP 0.50, ECFP 1.00, MAP of canonical SMILES 1.00
#   CC(=O)Oc1ccccc1C(=O)O / O=C(O)c1ccccc1OC(C)=O: MAP 0.65, ECFP 1.00, MAP of canonical SMILES 1.00
#   Cc1ccccc1O / Oc1ccccc1C: MAP 0.81, ECFP 1.00, MAP of canonical SMILES 1.00
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile scikit-fingerprints==2.1.0 rdkit==2026.3.5 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import numpy as np
from rdkit import Chem
from skfp.fingerprints import ECFPFingerprint, MAPFingerprint

PAIRS = (
    ("CCO", "OCC", 0.50),
    ("CC(=O)Oc1ccccc1C(=O)O", "O=C(O)c1ccccc1OC(C)=O", 0.65),
    ("Cc1ccccc1O", "Oc1ccccc1C", 0.81),
)


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


def similarity(fingerprint, first, second):
    a, b = np.asarray(fingerprint.transform([first, second])).astype(bool)
    return (a & b).sum() / (a | b).sum()


for first, second, seen in PAIRS:
    canonical = [Chem.CanonSmiles(smiles) for smiles in (first, second)]
    check(canonical[0] == canonical[1], f"{first} and {second} are no longer one molecule")
    by_map = similarity(MAPFingerprint(), first, second)
    by_ecfp = similarity(ECFPFingerprint(), first, second)
    of_canonical = similarity(MAPFingerprint(), *canonical)
    print(f"{first} / {second}: MAP {by_map:.2f}, ECFP {by_ecfp:.2f}, MAP of canonical SMILES {of_canonical:.2f}")
    check(abs(by_map - seen) < 0.01, f"MAP similarity of {first} and {second} is {by_map:.2f}")
    check(by_ecfp == 1.0 and of_canonical == 1.0, f"ECFP or canonical input for {first}")
PY
