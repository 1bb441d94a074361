"""Frozen vectors of a checkpoint, as ``moleblend embed`` writes them, under a learner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from moleblend_plugin.bench.run.features import PartFeatures, kept
from moleblend_plugin.bench.run.heads import run_head
from moleblend_plugin.bench.run.outcome import CellOutcome, Parts
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.inference.embedder import Embedder
from moleblend_plugin.version import __version__


def run(cell: Cell, parts: Parts, numbers: Mapping[str, Any]) -> CellOutcome:
    """Fit the head on the vectors of the checkpoint's encoder, which is not trained."""
    options = cell.options

    def vectors(part: str) -> PartFeatures:
        def make() -> npt.NDArray[np.float32]:
            mode = options.get("input_mode")
            embedder = Embedder.from_checkpoint(cell.checkpoint, options["readout"], input_mode=mode)
            return np.stack(list(embedder.embed_records(MoleculeStore(parts[part].path))))

        of = [__version__, options["checkpoint_sha256"], options["readout"], options.get("input_mode", "")]
        return kept(Path(cell.out, "features"), "frozen", [*of, cell.stored[part]], make)

    return run_head(cell, parts, numbers, vectors)
