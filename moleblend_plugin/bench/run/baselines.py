"""Fingerprint baselines from scikit-learn: forests and boosted trees on ECFP4 bits or RDKit's descriptors.

One model per task on its labelled molecules. A classification task whose training labels are of one class
has no model: it is predicted as that class and named. Trees see every task alone, so missing labels cost
nothing but themselves.

Settings: the forest is scikit-learn's default with 300 trees, its classes balanced by weight in every tree:
on validation that is ahead by 9 points of ROC-AUC on ClinTox, which has 8 % of one class, and level on BACE.
Boosting is scikit-learn's default, 100 rounds on all bits: more rounds, fewer bits per split and smaller
leaves were slower and no better in validation (BBBP, BACE, FreeSolv). It draws nothing at random, so its
seeds agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.schema import Float64Array

DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "ecfp4-rf": {"n_estimators": 300},
    "descriptors-rf": {"n_estimators": 300},
    "ecfp4-gb": {"max_iter": 100},
}
"""Numbers of each kind that differ from scikit-learn's defaults."""

CLASS_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "ecfp4-rf": {"class_weight": "balanced_subsample"},
    "descriptors-rf": {"class_weight": "balanced_subsample"},
    "ecfp4-gb": {},
}
"""Those of classifiers alone."""


class Fitted(NamedTuple):
    """Predictions of one setting.

    Attributes:
        predictions: [M, T] for each of the other parts: probabilities of class 1, or values.
        constant: names of tasks that have one class in training.
    """

    predictions: list[Float64Array]
    constant: tuple[str, ...]


def estimator(kind: str, classify: bool, seed: int, numbers: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """An unfitted scikit-learn estimator of a kind.

    Args:
        kind: a key of :data:`DEFAULTS`.
        classify: classifier or regressor.
        seed: ``random_state``.
        numbers: parameters that stand over :data:`DEFAULTS`.
    """
    from sklearn import ensemble
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    of_classes = CLASS_DEFAULTS[kind] if classify else {}
    chosen = {**DEFAULTS[kind], **of_classes, **numbers, "random_state": seed}
    if kind == "ecfp4-gb":
        boosted = (
            ensemble.HistGradientBoostingClassifier if classify else ensemble.HistGradientBoostingRegressor
        )
        return boosted(early_stopping=False, **chosen)
    forest = ensemble.RandomForestClassifier if classify else ensemble.RandomForestRegressor
    trees = forest(n_jobs=1, **chosen)
    if kind == "ecfp4-rf":
        return trees
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), trees)


def fit_predict(
    kind: str,
    classify: bool,
    seed: int,
    numbers: Mapping[str, Any],
    features: npt.NDArray[Any],
    targets: Float64Array,
    names: Sequence[str],
    others: Sequence[npt.NDArray[Any]],
) -> Fitted:
    """Fit one model per task and predict other parts.

    Args:
        kind: a key of :data:`DEFAULTS`.
        classify: classification or regression.
        seed: of the models.
        numbers: parameters that stand over the defaults.
        features: [M, F] of the training part.
        targets: [M, T], NaN where missing.
        names: of the T tasks.
        others: features of the parts to predict.
    """
    predictions = [np.zeros((len(part), targets.shape[1])) for part in others]
    constant = []
    for task, name in enumerate(names):
        known = ~np.isnan(targets[:, task])
        labels = targets[known, task]
        if not len(labels) or (classify and labels.min() == labels.max()):
            constant.append(name)
            for prediction in predictions:
                prediction[:, task] = labels[0] if len(labels) else 0.0
            continue
        model = estimator(kind, classify, seed, numbers).fit(features[known], labels)
        for prediction, part in zip(predictions, others, strict=True):
            prediction[:, task] = model.predict_proba(part)[:, 1] if classify else model.predict(part)
    return Fitted(predictions, tuple(constant))
