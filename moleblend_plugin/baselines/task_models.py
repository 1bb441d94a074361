"""One model per task on its labelled molecules, so missing labels cost nothing but themselves.

A classification task whose training labels are of one class has no model: it is predicted as that class and
named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moleblend_plugin.baselines.features import MISSING
from moleblend_plugin.baselines.kinds import BASELINES
from moleblend_plugin.baselines.learners import LEARNERS
from moleblend_plugin.schema import Float64Array


@dataclass(frozen=True, slots=True)
class TaskModels:
    """Fitted models of T tasks.

    Attributes:
        classify: whether a task is classification, T of them.
        names: of the tasks.
        models: fitted scikit-learn estimators; ``None`` where the training labels of a task are of one
            class or there are none.
        constants: [T], what a task without a model is predicted as: its one class, or 0 without any label.
    """

    classify: tuple[bool, ...]
    names: tuple[str, ...]
    models: tuple[Any, ...]
    constants: Float64Array

    @property
    def constant(self) -> tuple[str, ...]:
        """Names of the tasks without a model."""
        return tuple(name for name, model in zip(self.names, self.models, strict=True) if model is None)

    def predict(self, features: npt.NDArray[Any]) -> Float64Array:
        """Probabilities of class 1, or values: [M, T] for features [M, F]."""
        predictions = np.tile(self.constants, (len(features), 1))
        for task, model in enumerate(self.models):
            if model is not None:
                found = (
                    model.predict_proba(features)[:, 1] if self.classify[task] else model.predict(features)
                )
                predictions[:, task] = found
        return predictions


def fit_learner(
    learner: str,
    classify: bool | Sequence[bool],
    seed: int,
    features: npt.NDArray[Any],
    targets: Float64Array,
    names: Sequence[str],
    numbers: Mapping[str, Any] | None = None,
    missing: bool = False,
    sample_weight: Float64Array | None = None,
) -> TaskModels:
    """Fit a learner to every task.

    Args:
        learner: a key of ``LEARNERS``.
        classify: classification or regression, of all tasks or of each.
        seed: of the models.
        features: [M, F].
        targets: [M, T], NaN where missing.
        names: of the T tasks.
        numbers: parameters that stand over the learner's defaults.
        missing: whether features may be NaN.
        sample_weight: [M], what each molecule counts; ``None``: all alike.
    """
    each = (classify,) * len(names) if isinstance(classify, bool) else tuple(classify)
    models: list[Any] = []
    constants = np.zeros(len(names))
    for task in range(len(names)):
        known = ~np.isnan(targets[:, task])
        labels = targets[known, task]
        if not len(labels) or (each[task] and labels.min() == labels.max()):
            constants[task] = labels[0] if len(labels) else 0.0
            models.append(None)
            continue
        model = LEARNERS[learner](each[task], seed, numbers or {}, labels, missing)
        weighted = {}
        if sample_weight is not None:
            step = f"{model.steps[-1][0]}__" if hasattr(model, "steps") else ""
            weighted = {f"{step}sample_weight": sample_weight[known]}
        models.append(model.fit(features[known], labels, **weighted))
    return TaskModels(each, tuple(names), tuple(models), constants)


def fit_tasks(
    kind: str,
    classify: bool | Sequence[bool],
    seed: int,
    features: npt.NDArray[Any],
    targets: Float64Array,
    names: Sequence[str],
    numbers: Mapping[str, Any] | None = None,
    sample_weight: Float64Array | None = None,
    missing: bool = False,
) -> TaskModels:
    """Fit a baseline to every task.

    Args:
        kind: a key of ``BASELINES``, for example ``descriptors-rf``.
        classify: classification or regression, of all tasks or of each.
        seed: of the models.
        features: [M, F], what ``molecule_features(BASELINES[kind].features, smiles)`` gives.
        targets: [M, T], NaN where missing.
        names: of the T tasks.
        numbers: parameters that stand over the learner's defaults.
        sample_weight: [M], what each molecule counts; ``None``: all alike.
        missing: whether features may be NaN that the kind of baseline does not know of.
    """
    baseline = BASELINES[kind]
    missing = missing or bool(MISSING & set(baseline.features))
    return fit_learner(
        baseline.learner,
        classify,
        seed,
        features,
        targets,
        names,
        numbers=numbers,
        missing=missing,
        sample_weight=sample_weight,
    )
