"""What a model gives to its cell, and how a molecule counts that it cannot do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moleblend_plugin.bench.run.split_arrays import PartArrays
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.schema import Float64Array

Parts = Mapping[str, PartArrays]
"""By name of the part."""


@dataclass
class CellOutcome:
    """What a model gave.

    Attributes:
        valid: predictions [M, T] of the validation part.
        test: predictions of the test part.
        numbers: the setting of the grid that made them.
        seconds: by step.
        notes: more to keep, by name.
        packages: versions of packages that other interpreters used.
        kept_cpu_seconds: processor seconds of what an earlier cell had made and left, such as vectors.
    """

    valid: Float64Array
    test: Float64Array
    numbers: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    kept_cpu_seconds: float = 0.0


Runner = Callable[[Cell, Parts, Mapping[str, Any]], CellOutcome]
"""``run(cell, parts, numbers)`` trains a model of its kind with one setting and predicts validation and test.

It raises ``MoleblendError`` where it cannot, or ``SystemExit`` with the code of a process that failed.
"""


def middle_of(targets: Float64Array) -> Float64Array:
    """Training means [T]; 0 for a task without labels."""
    known = ~np.isnan(targets)
    sums = np.where(known, targets, 0.0).sum(axis=0)
    means: Float64Array = sums / np.maximum(known.sum(axis=0), 1)
    return means


def filled(predictions: Float64Array, middle: Float64Array) -> tuple[Float64Array, int]:
    """Predictions [M, T] with the training mean [T] for molecules that the model cannot do, and their number.

    A molecule that is left out of one model's score would make it another test set: it counts as a guess.
    """
    absent = np.asarray(np.isnan(predictions).any(axis=1, keepdims=True))  # [M, 1]
    return np.where(absent, middle, predictions), int(absent.sum())
