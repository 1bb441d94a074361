"""What the estimators share: molecules in, a checkpoint kept as bytes, labels as numbers with NaN.

Legend: n molecules, T targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.inference.conversion import conversion_for, new_conversion
from moleblend_plugin.inference.estimators.described import described_records
from moleblend_plugin.inference.estimators.file import Kept, read_estimator, write_estimator
from moleblend_plugin.inference.estimators.label_arrays import names_of_classes
from moleblend_plugin.inference.estimators.molecules import Molecules, refuse_rejections
from moleblend_plugin.inference.estimators.stored_columns import (
    columns_of_file,
    stored_columns,
    with_weights,
)
from moleblend_plugin.inference.estimators.validation import validation_rows
from moleblend_plugin.names import parse_names
from moleblend_plugin.networks.registry import DEFAULT
from moleblend_plugin.networks.resolve import find_checkpoint_file
from moleblend_plugin.schema import Float64Array, LabelKind, MoleculeRecord, Rejection

if TYPE_CHECKING:
    from typing import Self

    from moleblend_plugin.inference.estimators.ensemble import FittedEnsemble
    from moleblend_plugin.inference.estimators.member_jobs import MemberJobs
    from moleblend_plugin.inference.predictor import Predictor

_OF_ENSEMBLES: Final = ("oof_prediction_", "oof_fold_", "n_epochs_", "validation_curve_", "stack_weights_")
"""Attributes of a fitted ensemble."""

OnError = Literal["raise", "nan"]


class OnMolecules(BaseEstimator):
    """What all estimators here share: molecules in, and what to do with those that are none."""

    n_jobs: int | None
    on_error: OnError

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.non_deterministic = False
        return tags

    def _results(
        self,
        X: Molecules,
        config: ConversionConfig,
        featurizers: tuple[str, ...] = (),
        extra: tuple[str, ...] = (),
    ) -> list[MoleculeRecord | Rejection]:
        results = described_records(X, extra, config, self.n_jobs, featurizers)
        if self.on_error not in ("raise", "nan"):
            raise ValueError(f"on_error={self.on_error!r} is unknown: choose 'raise' or 'nan'")
        if self.on_error == "raise":
            refuse_rejections(results, "correct them, or set on_error='nan' to get NaN for them")
        return results


class NetworkEstimator(OnMolecules):
    """Training and raw predictions [n, T]; the subclasses know what labels mean."""

    _kind: ClassVar[LabelKind]
    checkpoint_: bytes
    target_names_: tuple[str, ...]
    classes_: Any
    _two_d: bool
    _jobs: MemberJobs | None = None
    """How members are trained side by side (``moleblend fit``); ``None``: one after the other, in here."""

    def __init__(
        self,
        *,
        arch: str | None = None,
        checkpoint: str | Path | None = DEFAULT,
        input_mode: str = "both",
        conformers: int | str = 1,
        conformer_method: str = "full",
        epochs: int | str = 50,
        batch_size: int | str = 32,
        learning_rate: float = 5e-4,
        dropout: float = 0.1,
        readout: str = "auto",
        freeze_epochs: int = 0,
        molecule_featurizers: str = "auto",
        descriptors_columns: str | Sequence[str] | None = None,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
        n_jobs: int | None = None,
        on_error: OnError = "raise",
        verbose: int = 0,
        ensemble_size: int | str = 1,
        ensemble: str = "folds",
        folds: str = "random",
        stacking: bool | str = False,
    ) -> None:
        self.arch = arch
        self.checkpoint = checkpoint
        self.input_mode = input_mode
        self.conformers = conformers
        self.conformer_method = conformer_method
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.readout = readout
        self.freeze_epochs = freeze_epochs
        self.molecule_featurizers = molecule_featurizers
        self.descriptors_columns = descriptors_columns
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.on_error = on_error
        self.verbose = verbose
        self.ensemble_size = ensemble_size
        self.ensemble = ensemble
        self.folds = folds
        self.stacking = stacking

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator as one file, for :meth:`load`.

        It is a checkpoint, which ``moleblend predict``, ``embed`` and ``score`` take too. A ``random_state``
        that is a generator is not kept.

        Raises:
            MoleblendError: the file cannot be written.
        """
        check_is_fitted(self)
        classes = None if self._two_d else getattr(self, "classes_", None)
        kept = Kept(self.get_params(deep=False), classes, self._two_d)
        write_estimator(Path(path), self.checkpoint_, self._label_kind(), kept)

    @classmethod
    def load(cls, path: str | Path, **params: Any) -> Self:
        """A fitted estimator from its file, or from a checkpoint that ``--task moleblend_property`` trained.

        The file runs nothing (torch's ``weights_only``). A pickle or joblib file of an estimator is read by
        pickle or joblib, and runs what it holds.

        Args:
            path: the file, or the name of a bundled network that predicts a property.
            params: parameters that differ here, such as ``device="cpu"``.

        Raises:
            MoleblendError: no such file, no property checkpoint, one of the other kind, or a damaged one.
            TypeError: ``params`` names a parameter that the estimator does not have.
        """
        from moleblend_plugin.inference.predictor import Predictor

        known, file = set(cls().get_params(deep=False)), find_checkpoint_file(path)
        found = Predictor.from_checkpoint(file, "cpu")
        kept, names = read_estimator(file, found, cls._kind, known), found.target_names
        made = cls(**{**kept.params, **columns_of_file(found), **params})
        made.checkpoint_, made.target_names_, made._two_d = file.read_bytes(), names, kept.two_d
        if cls._kind == "classification":
            made.classes_ = [np.array([0, 1])] * len(names) if kept.two_d else kept.classes
        return made

    @property
    def started_from_(self) -> str | None:
        """The bundled network or the file whose weights training started from; ``None``: from scratch."""
        check_is_fitted(self)
        began: str | None = getattr(self._network().args, "finetune_from_model", None)
        return began

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_predictor", None)  # made again from the checkpoint's bytes
        state.pop("_jobs", None)  # of one machine and one fit
        return state

    def _conversion(self) -> ConversionConfig:
        return new_conversion(self.input_mode, self.conformers, self.conformer_method)

    def _train(
        self, X: Molecules, targets: Float64Array, names: tuple[str, ...], weights: Float64Array | None
    ) -> None:
        """Set ``checkpoint_`` from molecules, labels [n, T] (NaN where missing) and weights [n]."""
        from moleblend_plugin.inference.estimators.calibrate import (
            Fitted,
            trust_of_folds,
            trust_of_validation,
        )
        from moleblend_plugin.inference.estimators.defaults import settled
        from moleblend_plugin.inference.estimators.ensemble import (
            EnsembleConfig,
            TrainingPart,
            fit_ensemble,
            packed,
        )
        from moleblend_plugin.inference.estimators.fit import (
            FitConfig,
            featurizers_of,
            fit_checkpoint,
            kinds_for,
        )
        from moleblend_plugin.inference.estimators.members import LabelledRecords
        from moleblend_plugin.inference.estimators.start import choose_start
        from moleblend_plugin.inference.kept_trust import with_trust

        kind = self._label_kind()
        chosen = settled(self.get_params(deep=False), kind, len(targets))
        ensemble = EnsembleConfig(chosen["ensemble_size"], self.ensemble, self.folds, chosen["stacking"])
        random = check_random_state(self.random_state)
        conversion = self._conversion()
        featurizers = featurizers_of(chosen["molecule_featurizers"])
        extra = self._extra_names(names)
        results = described_records(X, extra, conversion, self.n_jobs, featurizers)
        refuse_rejections(results, "leave them and their labels out")
        columns, weight_column = with_weights(targets, (*names, *extra), weights)
        records = [
            replace(record, targets=stored_columns(record, labels))
            for record, labels in zip(results, columns, strict=True)
            if isinstance(record, MoleculeRecord)
        ]
        used = np.ones(len(records), bool) if weights is None else weights > 0
        if weights is not None:  # one of weight 0 counts for nothing: not for the units, nor in validation
            records = [record for record, weight in zip(records, weights, strict=True) if weight]
            targets, weights = targets[weights > 0], weights[weights > 0]
        names_of = [item.name for item in fields(FitConfig)]
        own = {name: chosen.get(name, getattr(self, name)) for name in names_of if hasattr(self, name)}
        own |= {**choose_start(self.checkpoint, self.arch)._asdict(), "descriptors_columns": extra}
        seed = int(random.randint(2**31 - 1))
        own["class_columns"] = self._class_names(names)
        if kind == "multiclass":
            own["class_names"] = names_of_classes(self._classes())
        config = FitConfig(kind, **own, seed=seed, weight_column=weight_column)
        whole = ensemble.ensemble_size > 1 and ensemble.ensemble == "folds"  # which hold out their own
        held = 0.0 if whole else self.validation_fraction
        held_out = validation_rows(targets, kind, held, random)
        stored = (*names, *([weight_column] if weight_column else []), *extra)
        kinds = kinds_for(config, names)
        given = Fitted(kinds, names, records, np.flatnonzero(used), targets, self._classes())
        if ensemble.ensemble_size > 1:
            labelled = LabelledRecords(records, stored, conversion, featurizers, extra)
            part = TrainingPart(labelled, targets, names, weights)
            fitted = fit_ensemble(part, config, ensemble, held_out, self._jobs)
            if whole:
                trust = trust_of_folds(given, fitted)
            else:
                trust = trust_of_validation(given, held_out, fitted.file, self.device)
            self._set_fitted(packed(fitted.file._replace(trust=trust)), names)
            self._keep(fitted, used)
            return
        train = [record for record, held in zip(records, held_out, strict=True) if not held]
        valid = [record for record, held in zip(records, held_out, strict=True) if held]
        checkpoint = fit_checkpoint(train, valid, stored, config, conversion)
        trust = trust_of_validation(given, held_out, checkpoint, self.device)
        self._set_fitted(with_trust(checkpoint, trust), names)

    def _extra_names(self, names: Sequence[str] = ()) -> tuple[str, ...]:
        """Columns that stand beside the molecules; ``names`` are those of the labels.

        Raises:
            ValueError: a name is there twice.
        """
        given = self.descriptors_columns
        found = parse_names(given) if isinstance(given, str) else tuple(map(str, given or ()))
        twice = next((name for name in found if [*found, *names].count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"descriptors_columns: {twice!r} is named twice, or is a target too")
        return found

    def _class_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Which targets are classes, where they are mixed."""
        return ()

    def _classes(self) -> tuple[Any, ...]:
        """What 0, 1 ... stand for, as plain values."""
        if self._kind != "classification" or self._two_d:
            return 0, 1
        return tuple(np.asarray(self.classes_).tolist())

    def _label_kind(self) -> LabelKind:
        """The kind of the labels, which for a classifier hangs on how many classes there are."""
        return "multiclass" if len(self._classes()) > 2 else self._kind

    def _set_fitted(self, checkpoint: bytes, names: tuple[str, ...]) -> None:
        """Take over a model; what an earlier fit of an ensemble left is gone."""
        self.checkpoint_, self.target_names_ = checkpoint, names
        for name in ("_predictor", *_OF_ENSEMBLES):
            self.__dict__.pop(name, None)

    def _keep(self, fitted: FittedEnsemble, used: npt.NDArray[np.bool_]) -> None:
        """Set the attributes of an ensemble; ``used`` [n] says which molecules it was given."""
        predictions = np.full((len(used), fitted.out_of_fold.shape[1]), np.nan)
        predictions[used] = fitted.out_of_fold
        one = predictions.shape[1] == 1 and not self._two_d
        self.oof_prediction_ = predictions[:, 0] if one else predictions
        self.oof_fold_ = np.full(len(used), -1)
        self.oof_fold_[used] = fitted.folds
        if fitted.members is not None:
            self.n_epochs_, self.validation_curve_ = fitted.members.epoch, fitted.members.curve
        if fitted.stacked is not None:
            stack = fitted.stacked.stack
            self.stack_weights_ = dict(zip(stack.base_models, stack.weights, strict=True))

    def _raw(self, X: Molecules) -> Float64Array:
        """Predictions [n, T] of the network, or [n, K] of K classes, NaN for molecules that are none."""
        self._check_fitted()
        records, good = self._molecules(X)
        values = np.full((len(good), self._network().outputs), np.nan)
        if records:
            values[good] = list(self._network().predict_records(records))
        return values

    def _molecules(self, X: Molecules) -> tuple[list[MoleculeRecord], npt.NDArray[np.bool_]]:
        """Molecules as the network takes them, and which of the given they are: bool [n]."""
        network = self._network()
        config = conversion_for(network.args, network.input_mode, self.conformers).config
        results = self._results(X, config, network.featurizers, network.extra_descriptors)
        records = [result for result in results if isinstance(result, MoleculeRecord)]
        return records, np.array([isinstance(result, MoleculeRecord) for result in results])

    def _check_fitted(self) -> None:
        check_is_fitted(self)

    def _network(self) -> Predictor:
        from moleblend_plugin.inference.predictor import Predictor

        if "_predictor" not in self.__dict__:
            self._predictor = Predictor.from_bytes(self.checkpoint_, self.device)
        found: Predictor = self._predictor
        return found
