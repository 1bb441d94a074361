"""An estimator of targets of both kinds: some are values, the others two classes.

Legend: n molecules, T targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from moleblend_plugin.inference.estimators.described import described, with_named_labels
from moleblend_plugin.inference.estimators.label_arrays import check_sample_weight, label_numbers, metric
from moleblend_plugin.inference.estimators.molecules import Molecules
from moleblend_plugin.inference.estimators.trusting import IntervalRegressor, SetClassifier
from moleblend_plugin.names import parse_names
from moleblend_plugin.schema import Float64Array

if TYPE_CHECKING:
    from typing import Self

    from sklearn.utils import Tags


class MoleblendMixed(IntervalRegressor, SetClassifier):
    """Regression of some targets and binary classification of the others, in one model.

    All targets share the encoder; each has the loss of its kind: squared error of standardised values, or
    cross-entropy of classes, and every label counts alike.

    Args:
        class_columns: names of the targets that are classes, 0 and 1; a list, or a text with commas. The
            others are values.
        params: those of :class:`moleblend_plugin.MoleblendRegressor`.

    Attributes:
        checkpoint_: the trained model, bytes of its file.
        target_names_: names of the targets.
        trust_: calibration and domain, from ``oof_prediction_`` or the held-out share.

    Attributes of an ensemble are those of the regressor; ``oof_prediction_`` holds values, and probabilities
    of class 1.
    """

    _kind = "mixed"

    def __init__(self, *, class_columns: str | Sequence[str] | None = None, **params: Any) -> None:
        super().__init__(**params)
        self.class_columns = class_columns

    @classmethod
    def _get_param_names(cls) -> list[str]:
        names: list[str] = IntervalRegressor._get_param_names()  # of the signature that ``params`` stands for
        return sorted([*names, "class_columns"])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        return tags

    def fit(self, X: Molecules, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Train on molecules ``X`` [n] and labels ``y`` [n, T], a frame with names, NaN where one is missing.

        ``X`` may be the ``Path`` of a file of molecules, and ``y`` then the names of its columns of labels.

        ``sample_weight`` [n] is what a molecule's labels count in the loss; 0 leaves the molecule out.

        Raises:
            ValueError: molecules, labels or weights that cannot be used, by position, or ``class_columns``
                does not name some of the targets.
        """
        asked = tuple(map(str, y)) if isinstance(X, Path) and isinstance(y, list | tuple) else ()
        X, y = with_named_labels(X, y, self._extra_names())
        X = described(X, self._extra_names())
        targets, found, self._two_d = label_numbers(y, len(X.molecules))
        names = asked if len(asked) == len(found) else found
        classes = [names.index(name) for name in self._class_names(names)]
        known = targets[:, classes]
        if not np.isin(known[~np.isnan(known)], (0, 1)).all():
            raise ValueError("Unknown label type: labels of class_columns must be 0, 1 or NaN")
        self._train(X, targets, names, check_sample_weight(sample_weight, len(targets)))
        return self

    def predict(self, X: Molecules) -> Float64Array:
        """[n, T]: values in the labels' unit, probabilities of class 1; NaN for molecules that are none."""
        return self._raw(X)

    def score(self, X: Molecules, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
        """Mean over targets of R2 of values and ROC AUC of classes, on the molecules that have the label."""
        X, y = with_named_labels(X, y, self._extra_names())
        predicted = self.predict(X)
        truth, _, _ = label_numbers(y, len(predicted))
        classes = self._class_names(self.target_names_)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        scores = []
        for name, true, found in zip(self.target_names_, truth.T, predicted.T, strict=True):
            known = ~np.isnan(true)
            counts = None if weights is None else weights[known]
            if name not in classes:
                scores.append(metric("r2_score")(true[known], found[known], sample_weight=counts))
            elif len(set(true[known].tolist())) == 2:
                scores.append(metric("roc_auc_score")(true[known], found[known], sample_weight=counts))
        return float(np.mean(scores)) if scores else float("nan")

    def _class_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        given = self.class_columns
        chosen = parse_names(given) if isinstance(given, str) else tuple(map(str, given or ()))
        unknown = next((name for name in chosen if name not in names), None)
        if unknown is not None:
            raise ValueError(f"class_columns: {unknown!r} is none of the targets {', '.join(names)}")
        if not 0 < len(set(chosen)) < len(names):
            raise ValueError(
                "class_columns must name the targets that are classes, beside others that are values: use "
                "MoleblendClassifier or MoleblendRegressor where all are of one kind"
            )
        return tuple(name for name in names if name in chosen)
