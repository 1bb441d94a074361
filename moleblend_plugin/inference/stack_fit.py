"""Fitting a stack: forests on every fold's training part, weights on what they and the networks say of the
rest.

Legend: n molecules, T tasks, K base models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.baselines.task_models import TaskModels, fit_tasks
from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.ensembles.weights import blend, fit_weights
from moleblend_plugin.inference.stack import (
    Blocks,
    Stack,
    TaskForests,
    feature_blocks,
    features_of,
    probe_of,
)
from moleblend_plugin.schema import Float64Array, LabelKind

FORESTS: Final = ("descriptors-rf", "ecfp4-counts-rf", "descriptors-ecfp4-counts-rf")
"""Kinds of forests beside the networks: on descriptors, on counts of ECFP4, and on both."""


class TrainingRows(NamedTuple):
    """What forests and weights are fitted on.

    Attributes:
        blocks: features by name, [n, F] each.
        columns: names of the descriptors.
        targets: [n, T], NaN where a label is missing.
        names: of the T tasks.
        folds: int64 [n], fold of every molecule.
        sample_weight: [n], what a molecule's labels count; ``None``: all alike.
    """

    blocks: Blocks
    columns: tuple[str, ...]
    targets: Float64Array
    names: tuple[str, ...]
    folds: npt.NDArray[np.int64]
    sample_weight: Float64Array | None = None

    @classmethod
    def of(
        cls,
        smiles: Sequence[str],
        targets: Float64Array,
        names: tuple[str, ...],
        folds: npt.NDArray[np.int64],
        sample_weight: Float64Array | None = None,
    ) -> TrainingRows:
        """With the features of :data:`FORESTS`."""
        blocks, columns = feature_blocks(FORESTS, smiles)
        return cls(blocks, columns, targets, names, folds, sample_weight)


class FittedStack(NamedTuple):
    """A stack and what it was chosen by.

    Attributes:
        stack: it.
        out_of_fold: [K, n, T], predictions of every base model, none of them trained on the molecule.
        blended: [n, T], their combination by the stack's weights.
    """

    stack: Stack
    out_of_fold: Float64Array
    blended: Float64Array


def fit_stack(
    rows: TrainingRows,
    network: Float64Array,
    kind: LabelKind,
    seed: int,
    numbers: Mapping[str, Any] | None = None,
) -> FittedStack:
    """Fit forests by the networks' folds, then weights, then the forests again on all molecules.

    Args:
        rows: molecules of the training part.
        network: [n, T], out-of-fold predictions of the networks: each by the member that did not see it.
        kind: classification or regression.
        seed: of the forests.
        numbers: parameters of the forests that differ from those of the baselines, such as ``n_estimators``.
    """
    each, forests = [network], {}
    for name in FORESTS:
        features = features_of(name, rows.blocks)
        predicted = np.full(rows.targets.shape, np.nan)
        for fold in np.unique(rows.folds):
            held = rows.folds == fold
            models = _fit(name, rows, features, ~held, kind, seed, numbers)
            predicted[held] = models.predict(features[held])
        each.append(predicted)
        everything = np.ones(len(features), bool)
        forests[name] = TaskForests.of(_fit(name, rows, features, everything, kind, seed, numbers))
    out_of_fold = np.stack(each)
    weights = fit_weights(out_of_fold, rows.targets, kind, rows.sample_weight)
    stack = Stack(forests, weights, rows.columns, TOOLKIT, probe_of(FORESTS, rows.columns))
    return FittedStack(stack, out_of_fold, blend(out_of_fold, weights))


def _fit(
    name: str,
    rows: TrainingRows,
    features: npt.NDArray[Any],
    chosen: npt.NDArray[np.bool_],
    kind: LabelKind,
    seed: int,
    numbers: Mapping[str, Any] | None,
) -> TaskModels:
    weights = None if rows.sample_weight is None else rows.sample_weight[chosen]
    return fit_tasks(
        name,
        kind == "classification",
        seed,
        features[chosen],
        rows.targets[chosen],
        rows.names,
        numbers,
        sample_weight=weights,
    )
