#!/usr/bin/env bash
# Conformer ensembles of "different" seeds overlap: RDKit seeds conformer k of EmbedMultipleConfs with (k + 1) * randomSeed.
#
# A seed is expected to name an independent, reproducible random sequence. Here seed 1 gives conformers of the seeds
# 1, 2, 3, ... and seed 2 those of 2, 4, 6, ...: conformer k of seed 2 is conformer 2k + 1 of seed 1, so ten conformers
# from each seed are fifteen, not twenty. 42 and 84 share theirs in the same way. With randomSeed=0, a common
# choice for "reproducible", every product is 0: all conformers of the call are the same one, each of them returned with
# an id of its own. A spread measured over such an ensemble is zero; an average over seeds counts conformers twice.
#
# Seen with: rdkit 2026.9.1 (also 2026.3.5), Python 3.11, ETKDGv3, 1-butanol.
# Output seen:
#   seed 0: 10 conformers asked for, 10 returned, 1 distinct
#   seed 1: 10 conformers asked for, 10 returned, 10 distinct
#   conformers that seed 2 shares with seed 1: [(0, 1), (1, 3), (2, 5), (3, 7), (4, 9)]
#   conformers that seed 84 shares with seed 42: [(0, 1), (1, 3), (2, 5), (3, 7), (4, 9)]
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile rdkit==2026.9.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom

smiles = "CCCCO"
mol = Chem.AddHs(Chem.MolFromSmiles(smiles))


def ensemble(seed, count=10):
    copy = Chem.Mol(mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    ids = rdDistGeom.EmbedMultipleConfs(copy, count, parameters)
    return [copy.GetConformer(i).GetPositions() for i in ids]


def same(a, b):
    return bool(np.allclose(a, b, atol=1e-6))


def distinct(conformers):
    return sum(not any(same(c, earlier) for earlier in conformers[:i]) for i, c in enumerate(conformers))


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


for seed, expected in ((0, 1), (1, 10)):
    found = ensemble(seed)
    print(f"seed {seed}: 10 conformers asked for, {len(found)} returned, {distinct(found)} distinct")
    check(len(found) == 10 and distinct(found) == expected, f"seed {seed} gives {distinct(found)} distinct conformers")

for small in (1, 42):
    first, second = ensemble(small), ensemble(2 * small)
    shared = [(j, i) for j in range(10) for i in range(10) if same(first[i], second[j])]
    print(f"conformers that seed {2 * small} shares with seed {small}: {shared}")
    check(shared == [(k, 2 * k + 1) for k in range(5)], "the seeds of an ensemble are no longer multiples")
PY
