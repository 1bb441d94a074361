"""A learner on vectors of molecules, alone or joined with fingerprints and descriptors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from moleblend_plugin.baselines.features import MISSING
from moleblend_plugin.baselines.task_models import fit_learner
from moleblend_plugin.bench.run.features import PartFeatures, beside, features_of
from moleblend_plugin.bench.run.outcome import CellOutcome, Parts, filled, middle_of
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.schema import PARTS, Float64Array

Vectors = Callable[[str], PartFeatures]
"""Vectors [M, D] of a part by its name; NaN for a molecule that has none."""


def run_head(cell: Cell, parts: Parts, numbers: Mapping[str, Any], vectors: Vectors) -> CellOutcome:
    """Fit the head of ``cell.options`` on vectors and predict validation and test.

    A molecule without a vector is not trained on and is predicted as the training mean.
    """
    started = time.monotonic()
    bare = {part: vectors(part) for part in PARTS}
    join, folder = cell.options.get("join", []), Path(cell.out, "features")
    made = {
        part: beside([bare[part], features_of(parts[part], join, folder)]) if join else bare[part]
        for part in PARTS
    }
    usable = {part: ~np.isnan(bare[part].values).any(axis=1) for part in PARTS}
    ready = time.monotonic()
    train = parts["train"]
    fitted = fit_learner(
        cell.options["head"],
        cell.task == "classification",
        cell.seed,
        made["train"].values[usable["train"]],
        train.targets[usable["train"]],
        train.names,
        numbers=numbers,
        missing=bool(MISSING & set(join)),
    )
    middle = middle_of(train.targets)
    predicted, absent = {}, {}
    for part in ("valid", "test"):
        values: Float64Array = np.full(parts[part].targets.shape, np.nan)
        if usable[part].any():
            values[usable[part]] = fitted.predict(made[part].values[usable[part]])
        predicted[part], absent[part] = filled(values, middle)
    return CellOutcome(
        predicted["valid"],
        predicted["test"],
        dict(numbers),
        {"features": ready - started, "train": time.monotonic() - ready},
        {"one_class_in_training": list(fitted.constant), "not_predicted": absent},
        kept_cpu_seconds=sum(one.kept_cpu_seconds for one in made.values()),
    )
