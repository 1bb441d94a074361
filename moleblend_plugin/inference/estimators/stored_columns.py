"""What estimators store beside labels, and what a model's file says of its columns.

Legend: n molecules, T targets, X columns that are read beside the molecule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from moleblend_plugin.schema import Float64Array, MoleculeRecord

if TYPE_CHECKING:
    from moleblend_plugin.inference.predictor import Predictor

_WEIGHT: Final = "sample_weight"


def columns_of_file(found: Predictor) -> dict[str, Any]:
    """Parameters that a model's file says by itself."""
    reads: dict[str, Any] = {}
    if found.extra_descriptors:
        reads["descriptors_columns"] = found.extra_descriptors
    if found.kind == "mixed":
        pairs = zip(found.target_names, found.kinds, strict=True)
        reads["class_columns"] = tuple(name for name, kind in pairs if kind == "classification")
    return reads


def stored_columns(record: MoleculeRecord, labels: Float64Array) -> Float64Array:
    """Labels of a record, and maybe its weight, and behind them its extra descriptors."""
    more = record.extra_descriptors
    return labels if more is None else np.concatenate((labels, more))


def with_weights(
    targets: Float64Array, names: tuple[str, ...], weights: Float64Array | None
) -> tuple[Float64Array, str]:
    """Columns to store [n, T or T + 1], and the name of that of the weights, "" where all count alike."""
    if weights is None or len(set(weights[weights > 0].tolist())) == 1:
        return targets, ""
    name = _WEIGHT
    while name in names:
        name += "_"
    scaled = weights / weights[weights > 0].mean()  # their scale means nothing, and float32 must hold them
    return np.column_stack((targets, scaled)), name
