"""Predictions as cells of a table: a number per target, or the likeliest class and the probability of each.

Legend: T targets of a model; of one of K classes there is one, and predictions are [K].
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.table_writer import ColumnType
from moleblend_plugin.schema import Float64Array


class PredictedCells(NamedTuple):
    """Cells of one molecule.

    Attributes:
        cells: under :func:`predicted_columns`; ``None`` for what is not finite.
        lost: names of the targets whose prediction is not finite.
    """

    cells: list[Any]
    lost: list[str]


def predicted_columns(predictor: Predictor) -> dict[str, ColumnType]:
    """``predicted_NAME`` of every target, a number; of several classes the likeliest, and
    ``probability_NAME_CLASS`` of each."""
    if not predictor.class_names:
        return {f"predicted_{name}": "number" for name in predictor.target_names}
    (target,) = predictor.target_names
    return {f"predicted_{target}": "text", **of_every_class("probability", predictor)}


def of_every_class(prefix: str, predictor: Predictor) -> dict[str, ColumnType]:
    """A column of numbers for every class of a target: ``PREFIX_NAME_CLASS``."""
    (target,) = predictor.target_names
    return {f"{prefix}_{target}_{each}": "number" for each in predictor.class_names}


def predicted_cells(predictor: Predictor, values: Float64Array) -> PredictedCells:
    """Cells of a prediction [T] or [K]."""
    numbers = values.tolist()
    cells = [number if math.isfinite(number) else None for number in numbers]
    if not predictor.class_names:
        pairs = zip(predictor.target_names, cells, strict=True)
        return PredictedCells(cells, [name for name, cell in pairs if cell is None])
    if None in cells:
        return PredictedCells([None, *cells], list(predictor.target_names))
    return PredictedCells([predictor.class_names[int(values.argmax())], *cells], [])
