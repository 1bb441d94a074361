"""Learners from scikit-learn for one task: forests, boosted trees, linear models and nearest neighbours.

Settings of trees: the forest is scikit-learn's default with 300 trees, its classes balanced by weight in
every tree: on validation that is ahead by 9 points of ROC-AUC on ClinTox, which has 8 % of one class, and
level on BACE. Boosting is scikit-learn's default, 100 rounds on all features: more rounds, fewer bits per
split and smaller leaves were slower and no better in validation (BBBP, BACE, FreeSolv). It draws nothing at
random, so its seeds agree.

Linear models and neighbours see standardised features, the scaler being part of the model. Their one number,
the strength of L2 or the number of neighbours, is chosen by cross-validation of the labels that they are
fitted on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.schema import Float64Array

FOLDS: Final = 5
FARTHEST: Final = 10.0
"""Standard deviations at which features are clipped: a descriptor may be 1e30 in one molecule."""

STRENGTHS: Final = tuple(float(10.0**power) for power in range(-2, 6))
"""Of L2, as scikit-learn's ``alpha``."""

NEIGHBOURS: Final = (1, 2, 3, 5, 8, 12, 20, 30)


def forest(
    classify: bool,
    seed: int,
    numbers: Mapping[str, Any],
    labels: Float64Array,
    missing: bool,
) -> Any:  # noqa: ANN401  scikit-learn has no types
    """A random forest; missing values take the median of training."""
    from sklearn import ensemble
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    chosen = {"n_estimators": 300, "n_jobs": 1, **numbers, "random_state": seed}
    if classify:
        trees = ensemble.RandomForestClassifier(**({"class_weight": "balanced_subsample"} | chosen))
    else:
        trees = ensemble.RandomForestRegressor(**chosen)
    if not missing:
        return trees
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), trees)


def boosting(
    classify: bool,
    seed: int,
    numbers: Mapping[str, Any],
    labels: Float64Array,
    missing: bool,
) -> Any:  # noqa: ANN401  scikit-learn has no types
    """Histogram gradient boosting; missing values go to the better side of each split."""
    from sklearn import ensemble

    boosted = ensemble.HistGradientBoostingClassifier if classify else ensemble.HistGradientBoostingRegressor
    return boosted(**{"max_iter": 100, "early_stopping": False, **numbers, "random_state": seed})


def ridge(
    classify: bool,
    seed: int,
    numbers: Mapping[str, Any],
    labels: Float64Array,
    missing: bool,
) -> Any:  # noqa: ANN401  scikit-learn has no types
    """Linear regression, or logistic regression, with an L2 penalty."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if classify:
        grid = {"model__C": [1 / strength for strength in STRENGTHS]}
        return _chosen(LogisticRegression(max_iter=1000), grid, classify, seed, labels)
    return _chosen(Ridge(), {"model__alpha": list(STRENGTHS)}, classify, seed, labels)


def neighbours(
    classify: bool,
    seed: int,
    numbers: Mapping[str, Any],
    labels: Float64Array,
    missing: bool,
) -> Any:  # noqa: ANN401  scikit-learn has no types
    """Nearest neighbours in standardised features, the nearer the heavier."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    model = (KNeighborsClassifier if classify else KNeighborsRegressor)(weights="distance")
    fold = len(labels) * (FOLDS - 1) // FOLDS
    counts = [count for count in NEIGHBOURS if count <= max(1, fold // 2)]
    return _chosen(model, {"model__n_neighbors": counts}, classify, seed, labels)


Learner = Callable[[bool, int, Mapping[str, Any], Float64Array, bool], Any]
"""``learner(classify, seed, numbers, labels, missing)`` gives an unfitted scikit-learn estimator.

Args of each:
    classify: classifier of the classes 0 and 1, or regressor.
    seed: ``random_state``, also of the folds.
    numbers: parameters that stand over the defaults.
    labels: that it will be fitted on, without NaN.
    missing: whether features may be NaN.
"""

LEARNERS: Final[dict[str, Learner]] = {"rf": forest, "gb": boosting, "ridge": ridge, "knn": neighbours}
"""By name: forest, boosted trees, linear with L2, nearest neighbours."""

DETERMINISTIC: Final = frozenset({"gb"})
"""Learners that draw nothing at random: one seed's result is every seed's."""


def _chosen(
    model: Any,  # noqa: ANN401  scikit-learn has no types
    grid: Mapping[str, list[Any]],
    classify: bool,
    seed: int,
    labels: Float64Array,
) -> Any:  # noqa: ANN401
    """``model`` on standardised features, with the number of ``grid`` that cross-validation chooses.

    A class of one molecule cannot be shared out among folds: then the middle of the grid is taken.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    pipeline = Pipeline(
        [
            ("wide", FunctionTransformer(_float64)),
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("scale", StandardScaler()),
            ("clip", FunctionTransformer(_clipped)),
            ("model", model),
        ]
    )
    smallest = int(min(np.unique(labels, return_counts=True)[1])) if classify else len(labels)
    folds = min(FOLDS, smallest)
    if folds < 2:
        return pipeline.set_params(**{key: values[len(values) // 2] for key, values in grid.items()})
    splits = (StratifiedKFold if classify else KFold)(folds, shuffle=True, random_state=seed)
    scoring = "neg_log_loss" if classify else "neg_mean_squared_error"
    return GridSearchCV(pipeline, dict(grid), cv=splits, scoring=scoring)


def _float64(features: npt.NDArray[Any]) -> Float64Array:
    """Sums of squares of a descriptor of 1e30 need more than float32."""
    return np.asarray(features, np.float64)


def _clipped(features: Float64Array) -> Float64Array:
    return np.clip(features, -FARTHEST, FARTHEST)
