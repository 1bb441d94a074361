#!/usr/bin/env bash
# DeepChem counts a missing label as 0.0 when it normalises labels.
#
# An empty cell of a CSV becomes y = 0 with weight 0, and losses and metrics respect the weight. NormalizationTransformer
# does not: mean and standard deviation run over all rows, so each missing label pulls them towards zero. With
# labels 10, 12 and 14 and one empty cell the mean is 9.00 instead of 12.00, the deviation 5.39 instead of 1.63, and the
# three known labels become 0.19, 0.56 and 0.93: all of one sign, in a third of the spread. A multi-task set with 70 % empty
# cells is scaled by how empty each task is. Nothing is said; predictions are transformed back by the same numbers, so only
# training suffers (weights of tasks against one another, learning rates, penalties).
#
# Seen with: deepchem 2.8.0 (its core, without torch or tensorflow), rdkit 2023.9.6, Python 3.11.
# Output seen:
#   This module requires PyTorch to be installed.   (its own notice)
#   y [10. 12. 14.  0.] w [1. 1. 1. 0.]
#   mean 9.00 (of the known labels 12.00), standard deviation 5.39 (of the known labels 1.63)
#   known labels after the transform: [0.19 0.56 0.93]
#
# Exits 0 while this holds; otherwise it says what changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile deepchem==2.8.0 rdkit==2023.9.6 numpy==1.26.4 scipy==1.12.0 setuptools==69.5.1
printf 'smiles,y\nCCO,10\nCCN,12\nCCC,14\nCCCl,\n' > "$work/labels.csv"
"$work/venv/bin/python" - "$work/labels.csv" 2> "$work/noise" <<'PY' || { cat "$work/noise" >&2; exit 1; }
import sys

import numpy as np
import deepchem


def check(holds, what):
    if not holds:
        sys.exit(f"changed: {what}")


featurizer = deepchem.feat.CircularFingerprint(size=16)
loader = deepchem.data.CSVLoader(tasks=["y"], feature_field="smiles", featurizer=featurizer)
dataset = loader.create_dataset(sys.argv[1])
y, w = dataset.y.ravel(), dataset.w.ravel()
print("y", y, "w", w)
check(list(y) == [10, 12, 14, 0] and list(w) == [1, 1, 1, 0], "how an empty cell is stored")

transformer = deepchem.trans.NormalizationTransformer(transform_y=True, dataset=dataset)
mean, deviation = float(transformer.y_means[0]), float(transformer.y_stds[0])
known = y[w > 0]
print(
    f"mean {mean:.2f} (of the known labels {known.mean():.2f}),"
    f" standard deviation {deviation:.2f} (of the known labels {known.std():.2f})"
)
check(np.isclose(mean, y.mean()) and np.isclose(deviation, y.std()), "mean and deviation leave missing labels out")
scaled = transformer.transform(dataset).y.ravel()[w > 0]
print("known labels after the transform:", np.round(scaled, 2))
check((scaled > 0).all(), "known labels after the transform")
PY
