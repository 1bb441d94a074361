"""One model per task on its labelled molecules, so missing labels cost nothing but themselves.

A classification task whose training labels are of one class has no model: it is predicted as that class and
named. Of one of C classes there is one task, and predictions have a column for each class.
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
        constants: [T], what a task without a model is predicted as: its one class, or 0 without any label. Of
            one of C classes [C], probabilities.
        classes: C, the classes 0 to C - 1 of the one task; 0 where all are values or two classes.
    """

    classify: tuple[bool, ...]
    names: tuple[str, ...]
    models: tuple[Any, ...]
    constants: Float64Array
    classes: int = 0

    @property
    def constant(self) -> tuple[str, ...]:
        """Names of the tasks without a model."""
        return tuple(name for name, model in zip(self.names, self.models, strict=True) if model is None)

    def predict(self, features: npt.NDArray[Any]) -> Float64Array:
        """Probabilities of class 1, or values: [M, T] for features [M, F]; [M, C] of one of C classes."""
        predictions = np.tile(self.constants, (len(features), 1))
        if self.classes:
            (model,) = self.models
            return predictions if model is None else self.of_classes(model, model.predict_proba(features))
        for task, model in enumerate(self.models):
            if model is not None:
                found = (
                    model.predict_proba(features)[:, 1] if self.classify[task] else model.predict(features)
                )
                predictions[:, task] = found
        return predictions

    def of_classes(self, model: Any, given: npt.NDArray[Any]) -> Float64Array:  # noqa: ANN401
        """Probabilities [M, C] from those of the classes that a model was fitted on."""
        found = np.zeros((len(given), self.classes))
        found[:, np.asarray(model.classes_, np.int64)] = given
        return found


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
    classes: int = 0,
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
        classes: C, where the one task is one of C > 2 classes.
    """
    each = (classify,) * len(names) if isinstance(classify, bool) else tuple(classify)
    models: list[Any] = []
    constants = np.zeros(classes or len(names))
    for task in range(len(names)):
        known = ~np.isnan(targets[:, task])
        labels = targets[known, task]
        if not len(labels) or (each[task] and labels.min() == labels.max()):
            if classes:
                constants[int(labels[0]) if len(labels) else slice(None)] = (
                    1.0 if len(labels) else 1 / classes
                )
            else:
                constants[task] = labels[0] if len(labels) else 0.0
            models.append(None)
            continue
        model = LEARNERS[learner](each[task], seed, numbers or {}, labels, missing)
        weighted = {}
        if sample_weight is not None:
            step = f"{model.steps[-1][0]}__" if hasattr(model, "steps") else ""
            weighted = {f"{step}sample_weight": sample_weight[known]}
        models.append(model.fit(features[known], labels, **weighted))
    return TaskModels(each, tuple(names), tuple(models), constants, classes)


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
    classes: int = 0,
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
        classes: C, where the one task is one of C > 2 classes.
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
        classes=classes,
    )
