#!/usr/bin/env bash
# A descriptor's value, and its place in RDKit's list, depend on the version: caffeine has 6 hydrogen-bond acceptors or 3.
#
# Tables of descriptors are often made with one RDKit, and a model that reads them is used with another. Between 2023.9 and
# 2026.9 NumHAcceptors of caffeine goes from 6 to 3 and fr_unbrch_alkane of hexane from 1 to 3, and six new descriptors
# came into Descriptors.descList in alphabetical order, not at its end: from place 112 on, a column is another descriptor.
# Neither names nor a warning tell of the changed values.
#
# Seen with: rdkit 2023.9.1 (numpy 1.26.4) and rdkit 2026.9.1 (numpy 2.4.6), Python 3.11.
# Output seen:
#   2023.09.1: 211 descriptors, caffeine NumHAcceptors 6, hexane fr_unbrch_alkane 1
#   2026.09.1: 217 descriptors, caffeine NumHAcceptors 3, hexane fr_unbrch_alkane 3
#   first place that differs: 112 (NumAromaticCarbocycles, NumAmideBonds)
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for pair in 2023.9.1,1.26.4 2026.9.1,2.4.6; do
  rdkit=${pair%,*}
  "${PYTHON:-python3}" -m venv "$work/$rdkit"
  "$work/$rdkit/bin/pip" install --quiet --no-compile "rdkit==$rdkit" "numpy==${pair#*,}"
  "$work/$rdkit/bin/python" - "$work/$rdkit.json" <<'PY'
import json
import sys

from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors

names = [name for name, _ in Descriptors.descList]
caffeine, hexane = (Chem.MolFromSmiles(smiles) for smiles in ("Cn1cnc2c1c(=O)n(C)c(=O)n2C", "CCCCCC"))
acceptors, chains = Descriptors.NumHAcceptors(caffeine), Descriptors.fr_unbrch_alkane(hexane)
print(
    f"{rdBase.rdkitVersion}: {len(names)} descriptors, caffeine NumHAcceptors {acceptors}, "
    f"hexane fr_unbrch_alkane {chains}"
)
json.dump([names, acceptors, chains], open(sys.argv[1], "w"))
PY
done
"$work/2026.9.1/bin/python" - "$work/2023.9.1.json" "$work/2026.9.1.json" <<'PY'
import json
import sys

(old, *old_values), (new, *new_values) = (json.load(open(name)) for name in sys.argv[1:])
first = next(place for place, (a, b) in enumerate(zip(old, new)) if a != b)
print(f"first place that differs: {first} ({old[first]}, {new[first]})")
if (len(old), len(new)) != (211, 217) or not set(old) < set(new) or first != 112:
    sys.exit("changed: the lists of descriptors")
if (old_values, new_values) != ([6, 1], [3, 3]):
    sys.exit(f"changed: values {old_values}, {new_values}")
PY
