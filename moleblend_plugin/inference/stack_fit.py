"""Fitting a stack: forests, and weights on predictions of molecules that no model was trained on.

Networks say what they do not know by folds. A forest need not be fitted again for that: each of its trees is
fitted on molecules that are drawn for it, and of 300 trees about 110 know nothing of a given one (out of bag,
Breiman 2001). Where folds keep scaffolds together, what is out of bag would be easier than what is out of
fold: then forests of 110 trees are fitted once per fold, as the networks are.

Legend: n molecules, T tasks, K base models. Of one of C classes there is one task; predictions are [n, C].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.baselines.task_models import TaskModels, fit_tasks
from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.ensembles.weights import fit_weights, weighted_mean
from moleblend_plugin.inference.stack import (
    EXTRA,
    Blocks,
    Stack,
    TaskForests,
    feature_blocks,
    features_of,
    probe_of,
)
from moleblend_plugin.label_kinds import Kinds, each_kind
from moleblend_plugin.schema import Float64Array

FORESTS: Final = ("descriptors-rf", "ecfp4-counts-rf", "descriptors-ecfp4-counts-rf")
"""Kinds of forests beside the networks: on descriptors, on counts of ECFP4, and on both."""

LEAST_TREES: Final = 50
"""With fewer, predictions out of the bag are of too few trees: one molecule in 10^10 is in the bags of 50."""


FOLD_TREES: Final = 110
"""Of a forest that is fitted for the sake of a fold's predictions: as many as say them out of the bag."""


class TrainingRows(NamedTuple):
    """What forests and weights are fitted on.

    Attributes:
        blocks: features by name, [n, F] each.
        columns: names of the descriptors.
        targets: [n, T], NaN where a label is missing.
        names: of the T tasks.
        folds: int64 [n], fold of every molecule.
        sample_weight: [n], what a molecule's labels count; ``None``: all alike.
        grouped: whether folds keep molecules of one scaffold together.
        extra_descriptors: names of columns of a table, which ``blocks`` hold too.
        classes: C, where the one task is one of C classes.
    """

    blocks: Blocks
    columns: tuple[str, ...]
    targets: Float64Array
    names: tuple[str, ...]
    folds: npt.NDArray[np.int64]
    sample_weight: Float64Array | None = None
    grouped: bool = False
    extra_descriptors: tuple[str, ...] = ()
    classes: int = 0

    @classmethod
    def of(
        cls,
        smiles: Sequence[str],
        targets: Float64Array,
        names: tuple[str, ...],
        folds: npt.NDArray[np.int64],
        sample_weight: Float64Array | None = None,
        grouped: bool = False,
        extra: tuple[tuple[str, ...], Float64Array | None] = ((), None),
        classes: int = 0,
    ) -> TrainingRows:
        """With the features of :data:`FORESTS`, and columns of a table: their names X and values [n, X]."""
        blocks, columns = feature_blocks(FORESTS, smiles)
        if extra[1] is not None:
            blocks = {**blocks, EXTRA: extra[1]}
        return cls(blocks, columns, targets, names, folds, sample_weight, grouped, extra[0], classes)


class FittedStack(NamedTuple):
    """A stack and what it was chosen by.

    Attributes:
        stack: it.
        out_of_fold: [K, n, T], predictions of every base model, none of them trained on the molecule.
        combined: [n, T], their combination by the stack's weights.
        cross_fitted: [n, T], that of every molecule by weights that were fitted without its fold. Residuals
            of ``combined`` are a little too small, because its weights were chosen on them.
    """

    stack: Stack
    out_of_fold: Float64Array
    combined: Float64Array
    cross_fitted: Float64Array


def fit_stack(
    rows: TrainingRows,
    network: Float64Array,
    kinds: Kinds,
    seed: int,
    numbers: Mapping[str, Any] | None = None,
) -> FittedStack:
    """Fit forests on all molecules, and weights on what they and the networks say of molecules new to them.

    Args:
        rows: molecules of the training part.
        network: [n, T], out-of-fold predictions of the networks: each by the member that did not see it.
        kinds: "classification", "multiclass" or "regression", of all tasks or of each.
        seed: of the forests.
        numbers: parameters of the forests that differ from those of the baselines, such as ``n_estimators``.
    """
    forests, of_forests = fit_forests(rows, kinds, seed, numbers)
    out_of_fold = np.stack([network, *of_forests])
    weights = fit_weights(out_of_fold, rows.targets, kinds, rows.sample_weight)
    probe = probe_of(FORESTS, rows.columns)
    stack = Stack(forests, weights, rows.columns, TOOLKIT, probe, rows.extra_descriptors)
    combined = weighted_mean(out_of_fold, weights)
    return FittedStack(stack, out_of_fold, combined, cross_fitted(rows, out_of_fold, combined, kinds))


def fit_forests(
    rows: TrainingRows, kinds: Kinds, seed: int, numbers: Mapping[str, Any] | None = None
) -> tuple[dict[str, TaskForests], list[Float64Array]]:
    """The forests, and what each predicts [n, T] of molecules that it was not fitted on.

    Args:
        rows: molecules of the training part.
        kinds: classification or regression, of all tasks or of each.
        seed: of the forests.
        numbers: parameters of the forests that differ from those of the baselines.
    """
    each: list[Float64Array] = []
    forests = {}
    everything = np.ones(len(rows.targets), bool)
    by_bag = not rows.grouped and (numbers or {}).get("n_estimators", LEAST_TREES) >= LEAST_TREES
    for name in FORESTS:
        features = features_of(name, rows.blocks)
        models = _fit(
            name, rows, features, everything, kinds, seed, {"oob_score": by_bag} | dict(numbers or {})
        )
        forests[name] = TaskForests.of(models)
        if by_bag:
            each.append(out_of_bag(models, features, rows.targets))
            continue
        predicted = np.full((len(rows.targets), models.classes or len(rows.names)), np.nan)
        for fold in np.unique(rows.folds):
            held = rows.folds == fold
            fold_numbers = {"n_estimators": FOLD_TREES} | dict(numbers or {})
            others = _fit(name, rows, features, ~held, kinds, seed, fold_numbers)
            predicted[held] = others.predict(features[held])
        each.append(predicted)
    return forests, each


def cross_fitted(
    rows: TrainingRows, out_of_fold: Float64Array, combined: Float64Array, kinds: Kinds
) -> Float64Array:
    """Predictions [n, T], of every fold by weights of the others; where those have no label, ``combined``.

    Args:
        rows: molecules of the training part; features are not needed.
        out_of_fold: [K, n, T], of every base model.
        combined: [n, T], their combination by weights of all molecules.
        kinds: classification or regression, of all tasks or of each.
    """
    found = combined.copy()
    for fold in np.unique(rows.folds):
        held = rows.folds == fold
        if np.isnan(rows.targets[~held]).all():
            continue
        counts = None if rows.sample_weight is None else rows.sample_weight[~held]
        weights = fit_weights(out_of_fold[:, ~held], rows.targets[~held], kinds, counts)
        found[held] = weighted_mean(out_of_fold[:, held], weights)
    return found


def out_of_bag(models: TaskModels, features: npt.NDArray[Any], targets: Float64Array) -> Float64Array:
    """Predictions [n, T] of molecules that forests were fitted on, by the trees that did not draw them.

    Args:
        models: forests with ``oob_score=True``, fitted on these molecules.
        features: [n, F].
        targets: [n, T]; what has no label, a forest was not fitted on, and all of it predicts.
    """
    predictions = models.predict(features)
    if models.classes:
        (model,), known = models.models, ~np.isnan(targets[:, 0])
        if model is not None:
            predictions[known] = models.of_classes(model, _forest(model).oob_decision_function_)
        return predictions
    for task, model in enumerate(models.models):
        if model is not None:
            forest = _forest(model)
            found = forest.oob_decision_function_[:, 1] if models.classify[task] else forest.oob_prediction_
            predictions[~np.isnan(targets[:, task]), task] = found
    return predictions


def _forest(model: Any) -> Any:  # noqa: ANN401  scikit-learn has no types
    return model.steps[-1][1] if hasattr(model, "steps") else model


def _fit(
    name: str,
    rows: TrainingRows,
    features: npt.NDArray[Any],
    chosen: npt.NDArray[np.bool_],
    kinds: Kinds,
    seed: int,
    numbers: Mapping[str, Any] | None,
) -> TaskModels:
    weights = None if rows.sample_weight is None else rows.sample_weight[chosen]
    return fit_tasks(
        name,
        [kind != "regression" for kind in each_kind(kinds, len(rows.names))],
        seed,
        features[chosen],
        rows.targets[chosen],
        rows.names,
        numbers,
        sample_weight=weights,
        missing=EXTRA in rows.blocks,
        classes=rows.classes,
    )
