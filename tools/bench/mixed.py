"""Views of a batch of mixed sizes, forward and backward: python tools/bench/mixed.py MOLECULES.

The Transformer of structure awareness (tiny) on 500 drug-like molecules in batches of 125: in any order,
padded to the largest and cut into parts of like size; and batches that are of like size themselves.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from measure import Figure, Table, finish, molecules, settings, timed
from torch import Tensor

from moleblend_plugin.data.batches.viewed import ViewedMolecules
from moleblend_plugin.data.samples.views import ViewConfig, ViewMaker
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.moleblend import MoleBlendEncoder
from moleblend_plugin.models.parts import size_groups
from moleblend_plugin.models.structure.view_encoders import read_view

BATCH = 125


def batches(data: ViewedMolecules, order: np.ndarray) -> list[Mapping[str, Tensor]]:
    """Inputs of every batch."""
    rows = order.reshape(-1, BATCH)
    return [data.collate([data[int(index)] for index in part])["net_input"] for part in rows]


def measure(folder: Path, repeats: int) -> Table:
    """The table."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    table = Table("Structure awareness: views of mixed batches")
    encoder = MoleBlendEncoder(PRESETS["moleblend_tiny"]).train()
    records = molecules(folder, "drug-like")
    data = ViewedMolecules(records, ViewMaker(ViewConfig(), None, 1, training=True), 1)
    mixed = batches(data, np.random.default_rng(1).permutation(len(records)))
    alike = batches(data, np.argsort([record.n_atoms for record in records], kind="stable"))

    def look(inputs: list[Mapping[str, Tensor]]) -> None:
        for batch in inputs:
            for view in ("2d", "3d"):
                read_view(encoder, batch, view, "mean").square().sum().backward()

    how = f"CPU time, 1 thread, 2D and 3D, {repeats} repetitions"
    useful = sum(record.n_atoms**2 for record in records)
    cases = {"mixed, whole": (mixed, BATCH), "mixed, in parts": (mixed, size_groups.MOLECULES)}
    for name, (inputs, most) in (cases | {"like sizes": (alike, size_groups.MOLECULES)}).items():
        with patch.object(size_groups, "MOLECULES", most):
            timing = timed(lambda given=inputs: look(given), repeats)
            parts = [part for batch in inputs for part in size_groups.group_by_size(batch).inputs]
        padded = sum(part["spd"].numel() for part in parts) / useful
        note = f"{how}; padded over useful pairs {padded:.2f}"
        table.add(Figure(f"{name}: a batch", timing.median / len(inputs), "s", note, timing.spread))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    args = parser.parse_args()
    finish([measure(args.molecules, args.repeats)], 1, args.out)


if __name__ == "__main__":
    main()
