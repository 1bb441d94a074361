"""Baselines on fingerprints and descriptors (``baselines/kinds.py``)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moleblend_plugin.baselines.kinds import BASELINES
from moleblend_plugin.baselines.task_models import fit_tasks
from moleblend_plugin.bench.run.features import features_of
from moleblend_plugin.bench.run.outcome import CellOutcome, Parts
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.schema import PARTS


def run(cell: Cell, parts: Parts, numbers: Mapping[str, Any]) -> CellOutcome:
    """Fit a baseline of one setting."""
    started = time.monotonic()
    folder = Path(cell.out, "features")
    made = {part: features_of(parts[part], BASELINES[cell.kind].features, folder) for part in PARTS}
    ready = time.monotonic()
    train = parts["train"]
    classify = cell.task == "classification"
    fitted = fit_tasks(
        cell.kind, classify, cell.seed, made["train"].values, train.targets, train.names, numbers
    )
    return CellOutcome(
        fitted.predict(made["valid"].values),
        fitted.predict(made["test"].values),
        dict(numbers),
        {"features": ready - started, "train": time.monotonic() - ready},
        {"one_class_in_training": list(fitted.constant)},
        kept_cpu_seconds=sum(one.kept_cpu_seconds for one in made.values()),
    )
