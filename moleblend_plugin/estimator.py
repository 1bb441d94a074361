"""scikit-learn's contract over the network: fit, predict and transform lists of SMILES or RDKit molecules.

Legend: n molecules, T targets, D width of the encoder.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.exceptions import DataConversionWarning

from moleblend_plugin.inference.conversion import conversion_for
from moleblend_plugin.inference.estimators.described import described, with_named_labels
from moleblend_plugin.inference.estimators.label_arrays import (
    check_sample_weight,
    coded_classes,
    find_classes,
    is_binary_column,
    is_missing,
    label_numbers,
    label_table,
    metric,
)
from moleblend_plugin.inference.estimators.mixed import MoleblendMixed
from moleblend_plugin.inference.estimators.molecules import Molecules
from moleblend_plugin.inference.estimators.network import OnError, OnMolecules
from moleblend_plugin.inference.estimators.trusting import IntervalRegressor, SetClassifier
from moleblend_plugin.networks.registry import DEFAULT
from moleblend_plugin.networks.resolve import find_checkpoint_file, name_or_path
from moleblend_plugin.schema import Float64Array, MoleculeRecord

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from sklearn.utils import Tags

    from moleblend_plugin.inference.embedder import Embedder

__all__ = ["MoleblendClassifier", "MoleblendEmbedder", "MoleblendMixed", "MoleblendRegressor"]


class MoleblendRegressor(RegressorMixin, IntervalRegressor):
    """Regression of one or several targets from SMILES or RDKit molecules.

    Args:
        arch: size of a network from scratch: "tiny", "small" or "base"; ``None`` for "tiny".
        checkpoint: what to start from: "default" (the bundled network that ``moleblend models`` marks so),
            the name of another one, the path of a pretraining or property checkpoint (whose sizes win over
            ``arch``), or ``None`` to train from scratch. With "default" and an ``arch`` of another size,
            training starts from scratch, with a warning.
        input_mode: what the network sees: "2d", "3d" or "both" (a molecule without 3D then shows 2D).
        conformers: per molecule without 3D of its own, made by RDKit (not for "2d"), or "none": it shows 2D.
        conformer_method: "full", or "fast" for a quarter of the time (``docs/store.md``).
        epochs: passes over the molecules, at most, or "auto": as ``moleblend fit``, by their number.
        batch_size: molecules per update, or "auto".
        learning_rate: highest learning rate.
        dropout: of the head.
        readout: how the head reads a molecule: "cls" (graph token), "mean" or "sum" (of atomic outputs),
            "attention" (learned weights over atoms), or "auto": "cls" for classes, "mean" for all else.
        freeze_epochs: the first epochs, in which the head alone is trained.
        molecule_featurizers: what the head reads beside the encoder: "none", "descriptors" (RDKit's, scaled),
            "ecfp" (ECFP4 counts), "both", or "auto": "descriptors" for up to 12,000 molecules, else "none".
        descriptors_columns: columns that the head reads too, such as temperature and pH: a list, or a text
            with commas. ``X`` is then a table (pandas, polars, Arrow, a mapping, the ``Path`` of a file) of
            them and of molecules, in ``fit`` and in all else. A missing value is taken as the mean.
        validation_fraction: share of the molecules held out to choose the best epoch; 0: train to the end.
        patience: epochs without a better validation loss before the end.
        random_state: of weights, order, dropout and the held-out share.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps", of training and prediction.
        n_jobs: processes that read molecules and make conformers, as joblib counts them.
        on_error: what ``predict`` does with molecules that cannot be read: "raise", or "nan" for NaN.
        verbose: 1 shows the trainer's log.
        ensemble_size: number of networks, whose predictions are averaged, or "auto".
        ensemble: how they differ: "folds" of cross-validation, each network trained without one fold and all
            at the epoch that is best on the mean of the folds (``validation_fraction`` and ``patience`` then
            have no effect), or "seeds".
        folds: "random" (classes of one target in proportion), or "scaffold" to keep molecules of one
            Bemis-Murcko scaffold together.
        stacking: combine the networks with random forests on RDKit's descriptors, on counts of ECFP4 and on
            both, by weights fitted on predictions of molecules that no model was trained on; or "auto".

    Attributes:
        checkpoint_: the trained model, bytes of its file.
        started_from_: the bundled network or file that training started from; ``None``: from scratch.
        target_names_: names of the targets.
        oof_prediction_: [n] or [n, T], with folds: value or probability of every molecule that was trained
            on, by the model that did not see it; NaN for those of weight 0.
        oof_fold_: int64 [n], the fold of every molecule; -1 without one.
        n_epochs_: epoch of the members of an ensemble.
        validation_curve_: by epoch, the mean of their validation losses.
        stack_weights_: with stacking, by base model, its weight [T] in every target.
        trust_: calibration and domain, from ``oof_prediction_`` or the held-out share.
    """

    _kind = "regression"

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # scikit-learn's bound is for a few hundred rows of numbers
        return tags

    def fit(self, X: Molecules, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Train on molecules ``X`` [n] and labels ``y`` [n] or [n, T], NaN where one is missing.

        ``X`` may be the ``Path`` of a file of molecules, and ``y`` then the names of its columns of labels.

        ``sample_weight`` [n] is what a molecule's labels count in the loss, in the mean and deviation that
        standardise them, and in the validation loss that chooses the epoch; 0 leaves the molecule out.

        Raises:
            ValueError: molecules, labels or weights that cannot be used, by position.
        """
        X, y = with_named_labels(X, y, self._extra_names())
        X = described(X, self._extra_names())
        count = len(X.molecules)
        targets, names, self._two_d = label_numbers(y, count)
        self._train(X, targets, names, check_sample_weight(sample_weight, count))
        return self

    def predict(self, X: Molecules) -> Float64Array:
        """Values [n] or [n, T] in the labels' unit; NaN for molecules that are none, if asked for."""
        raw = self._raw(X)
        values: Float64Array = raw if self._two_d else raw[:, 0]
        return values

    def score(self, X: Molecules, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
        """Mean over targets of R2, each on the molecules that have its label."""
        X, y = with_named_labels(X, y, self._extra_names())
        return _mean_score(metric("r2_score"), y, self.predict(X), sample_weight)


class MoleblendClassifier(ClassifierMixin, SetClassifier):
    """Classification of one or several targets from SMILES or RDKit molecules.

    One target: ``y`` [n] holds two classes or more, numbers or strings. Several: ``y`` [n, T] holds 0, 1, or
    NaN where a label is missing. Parameters are those of :class:`MoleblendRegressor`.

    Attributes:
        classes_: the K classes in order; for several targets a list of ``[0, 1]``, one each.
        checkpoint_: the trained model, bytes of its file.
        started_from_: the bundled network or file that training started from; ``None``: from scratch.
        target_names_: names of the targets.
        trust_: calibration and domain, from ``oof_prediction_`` or the held-out share.

    Attributes of an ensemble are those of the regressor; ``oof_prediction_`` holds probabilities of the
    second class, or of 1; of more than two classes those of each, [n, K].
    """

    _kind = "classification"

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.poor_score = True
        return tags

    def fit(self, X: Molecules, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Train on molecules ``X`` [n] and labels ``y`` [n] or [n, T]; a missing label is NaN or ``None``.

        ``X`` may be the ``Path`` of a file of molecules, and ``y`` then the names of its columns of labels.

        ``sample_weight`` [n] is what a molecule's labels count in the loss; 0 leaves the molecule out.

        Raises:
            ValueError: molecules, labels or weights that cannot be used, by position.
        """
        X, y = with_named_labels(X, y, self._extra_names())
        X = described(X, self._extra_names())
        count = len(X.molecules)
        values, names, self._two_d = label_table(y, count, None)
        weights = check_sample_weight(sample_weight, count)
        if self._two_d and values.shape[1] == 1 and not is_binary_column(values[:, 0]):
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected.",
                DataConversionWarning,
                stacklevel=2,
            )
            self._two_d = False
        if self._two_d:
            targets, names, _ = label_numbers(y, count)
            if not np.isin(targets[~np.isnan(targets)], (0, 1)).all():
                raise ValueError("Unknown label type: labels of several targets must be 0, 1 or NaN")
            classes: Any = [np.array([0, 1])] * len(names)
        else:
            classes = find_classes(values[:, 0] if weights is None else values[weights > 0, 0])
            targets = coded_classes(values[:, 0], classes)
        self.classes_ = classes
        self._train(X, targets, names, weights)
        return self

    def predict_proba(self, X: Molecules) -> Float64Array:
        """Probability of every class [n, K]; for several targets that of 1, [n, T]."""
        return self._of_each_class(self._raw(X))

    def decision_function(self, X: Molecules) -> Float64Array:
        """Log-odds of the second class [n] or [n, T]; of more than two classes those of each, [n, K]."""
        raw = np.clip(self._raw(X), 1e-12, 1 - 1e-12)
        logits: Float64Array = np.log(raw) - np.log1p(-raw)
        return logits if self._two_d or logits.shape[1] > 1 else logits[:, 0]

    def predict(self, X: Molecules) -> npt.NDArray[Any]:
        """Likeliest class [n], or 0 and 1 [n, T]; NaN or None for molecules that are none, if asked for."""
        raw = self._raw(X)
        if raw.shape[1] > 1 and not self._two_d:
            chosen, missing = np.nan_to_num(raw).argmax(1)[:, None], np.isnan(raw[:, :1])
        else:
            chosen, missing = (raw > 0.5).astype(int), np.isnan(raw)
        labels: npt.NDArray[Any] = chosen if self._two_d else np.asarray(self.classes_)[chosen[:, 0]]
        if not missing.any():
            return labels
        numeric = np.issubdtype(labels.dtype, np.number)
        labels = labels.astype(float if numeric else object)
        labels[missing if self._two_d else missing[:, 0]] = np.nan if numeric else None
        return labels

    def score(self, X: Molecules, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
        """Mean over targets of the accuracy, each on the molecules that have its label."""
        X, y = with_named_labels(X, y, self._extra_names())
        if not self._two_d:
            predicted = self.predict(X)
            truth = label_table(y, len(predicted), None)[0][:, 0]
            known = np.array([not is_missing(label) for label in truth.tolist()])
            weights = None if sample_weight is None else np.asarray(sample_weight)[known]
            return metric("accuracy_score")(truth[known], predicted[known], sample_weight=weights)
        return _mean_score(metric("accuracy_score"), y, self.predict(X), sample_weight)


class MoleblendEmbedder(TransformerMixin, OnMolecules):
    """Vectors [n, D] of a trained encoder, as features for other estimators. ``fit`` does nothing.

    Args:
        checkpoint: "default" or another name of ``moleblend models``, or the path of a pretraining or
            property checkpoint.
        what: "graph" (state of the graph token) or "mean" (over atoms).
        input_mode: "2d", "3d" or "both"; ``None`` for that of the checkpoint.
        conformers: conformers per molecule to average over, or "none"; ``None`` for as many as in training.
        batch_size: molecules computed together.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        n_jobs: processes that read molecules and make conformers, as joblib counts them.
        on_error: what is done with molecules that cannot be read: "raise", or "nan" for rows of NaN.

    Attributes:
        network_: name of the bundled network, or path of the checkpoint, that makes the vectors.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = DEFAULT,
        *,
        what: str = "graph",
        input_mode: str | None = None,
        conformers: int | str | None = None,
        batch_size: int = 64,
        device: str = "auto",
        n_jobs: int | None = None,
        on_error: OnError = "raise",
    ) -> None:
        self.checkpoint = checkpoint
        self.what = what
        self.input_mode = input_mode
        self.conformers = conformers
        self.batch_size = batch_size
        self.device = device
        self.n_jobs = n_jobs
        self.on_error = on_error

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags

    @property
    def network_(self) -> str:
        """Name of the bundled network, or path of the checkpoint, that makes the vectors."""
        return name_or_path(find_checkpoint_file(self._named()))

    def fit(self, X: Molecules | None = None, y: object = None) -> Self:
        """Nothing to learn; the checkpoint is trained."""
        return self

    def transform(self, X: Molecules) -> npt.NDArray[np.float32]:
        """Vectors float32 [n, D]; NaN for molecules that are none, if ``on_error="nan"``."""
        embedder = self._embedder()
        config = conversion_for(embedder.args, embedder.input_mode, self.conformers).config
        results = self._results(X, config)
        records = [result for result in results if isinstance(result, MoleculeRecord)]
        vectors = np.full((len(results), embedder.width), np.nan, np.float32)
        rows = [row for row, result in enumerate(results) if isinstance(result, MoleculeRecord)]
        for row, vector in zip(rows, embedder.embed_records(records, self.batch_size), strict=True):
            vectors[row] = vector
        return vectors

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """``moleblend_graph_0`` and so on."""
        width = self._embedder().width
        return np.array([f"moleblend_{self.what}_{number}" for number in range(width)], object)

    def _named(self) -> str | Path:
        if self.checkpoint is None:
            raise ValueError(
                "checkpoint=None: name a checkpoint of pretraining or of moleblend_property, or leave it out "
                "for the default network"
            )
        return self.checkpoint

    def _embedder(self) -> Embedder:
        from moleblend_plugin.inference.embedder import Embedder

        checkpoint = self._named()
        if self.what not in ("graph", "mean"):
            raise ValueError(f"what={self.what!r}: choose 'graph' or 'mean' (moleblend embed writes atoms)")
        made = self.__dict__.get("_made")
        key = (str(checkpoint), self.what, self.device, self.input_mode)
        if made is None or made[0] != key:
            embedder = Embedder.from_checkpoint(checkpoint, self.what, self.device, self.input_mode)  # type: ignore[arg-type]
            made = self._made = (key, embedder)
        found: Embedder = made[1]
        return found

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_made", None)
        return state


def _mean_score(
    score: Callable[..., float],
    y: npt.ArrayLike,
    predicted: npt.NDArray[Any],
    sample_weight: npt.ArrayLike | None,
) -> float:
    """Mean of ``score`` over the targets with labels."""
    truth, _, _ = label_table(y, len(predicted), np.float64)
    weights = None if sample_weight is None else np.asarray(sample_weight)
    columns = zip(truth.T, predicted.reshape(len(predicted), -1).T, strict=True)
    scores = []
    for true, guess in columns:
        known = ~np.isnan(true)
        if known.any():
            scores.append(
                score(true[known], guess[known], sample_weight=None if weights is None else weights[known])
            )
    return float(np.mean(scores)) if scores else float("nan")
