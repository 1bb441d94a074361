"""What the estimators share: molecules in, a checkpoint kept as bytes, labels as numbers with NaN.

Legend: n molecules, T targets.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from moleblend_plugin.chem.conformers import ConformerConfig
from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.data.labels import LARGEST
from moleblend_plugin.files import replacing
from moleblend_plugin.inference.molecules import as_list, convert_all, refuse_rejections
from moleblend_plugin.schema import Float64Array, MoleculeRecord, Rejection

if TYPE_CHECKING:
    from moleblend_plugin.inference.predictor import Predictor

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

    def _results(self, X: Any, config: ConversionConfig) -> list[MoleculeRecord | Rejection]:  # noqa: ANN401
        results = convert_all(as_list(X), config, self.n_jobs)
        if self.on_error not in ("raise", "nan"):
            raise ValueError(f"on_error={self.on_error!r} is unknown: choose 'raise' or 'nan'")
        if self.on_error == "raise":
            refuse_rejections(results, "mend them, or set on_error='nan' to get NaN for them")
        return results


class Network(OnMolecules):
    """Training and raw predictions [n, T]; the subclasses know what labels mean."""

    _kind: ClassVar[Literal["classification", "regression"]]

    def __init__(
        self,
        *,
        arch: str = "tiny",
        checkpoint: str | None = None,
        input_mode: str = "both",
        conformers: int = 1,
        epochs: int = 50,
        batch_size: int = 32,
        learning_rate: float = 5e-4,
        dropout: float = 0.1,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
        n_jobs: int | None = None,
        on_error: OnError = "raise",
        verbose: int = 0,
    ) -> None:
        self.arch = arch
        self.checkpoint = checkpoint
        self.input_mode = input_mode
        self.conformers = conformers
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.on_error = on_error
        self.verbose = verbose

    def save(self, path: str | Path) -> None:
        """Write the checkpoint, which ``moleblend predict`` and ``moleblend embed`` take.

        Raises:
            MoleblendError: the file cannot be written.
        """
        check_is_fitted(self)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(self.checkpoint_)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_predictor", None)  # made again from the checkpoint's bytes
        return state

    def _conversion(self) -> ConversionConfig:
        if self.input_mode == "2d":
            return ConversionConfig(None, source_coords=False)
        return ConversionConfig(ConformerConfig(self.conformers))

    def _train(self, X: Any, targets: Float64Array, names: tuple[str, ...]) -> None:  # noqa: ANN401
        """Set ``checkpoint_`` and ``n_epochs_limit_`` from molecules and labels [n, T], NaN where missing."""
        from moleblend_plugin.inference.fit import FitConfig, fit_checkpoint

        random = check_random_state(self.random_state)
        conversion = self._conversion()
        results = convert_all(as_list(X), conversion, self.n_jobs)
        refuse_rejections(results, "leave them and their labels out")
        records = [
            replace(record, targets=labels)
            for record, labels in zip(results, targets, strict=True)
            if isinstance(record, MoleculeRecord)
        ]
        config = FitConfig(
            kind=self._kind,
            arch=self.arch,
            checkpoint=None if self.checkpoint is None else str(self.checkpoint),
            input_mode=self.input_mode,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            dropout=self.dropout,
            patience=self.patience,
            seed=int(random.randint(2**31 - 1)),
            cpu=self.device == "cpu",
            verbose=bool(self.verbose),
        )
        chosen = self._validation_rows(targets, random)
        train = [record for record, held in zip(records, chosen, strict=True) if not held]
        valid = [record for record, held in zip(records, chosen, strict=True) if held]
        self.checkpoint_ = fit_checkpoint(train, valid, names, config, conversion)
        self.target_names_ = names
        self.__dict__.pop("_predictor", None)

    def _validation_rows(self, targets: Float64Array, random: np.random.RandomState) -> npt.NDArray[np.bool_]:
        """Which molecules are held out to choose the epoch, bool [n]; one target's classes in proportion."""
        count = len(targets)
        held = np.zeros(count, bool)
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction}: give 0 (train for all epochs) to below 1"
            )
        if self.validation_fraction == 0:
            return held
        wanted = max(1, round(self.validation_fraction * count))
        if wanted >= count:
            raise ValueError(
                f"n_samples={count} leaves nothing to train on beside validation: "
                "give more molecules or validation_fraction=0"
            )
        order = random.permutation(count)
        if self._kind == "classification" and targets.shape[1] == 1:
            # Every k-th of the molecules sorted by class: each class gives its share.
            order = order[np.argsort(targets[order, 0], kind="stable")]
            order = order[np.linspace(0, count - 1, wanted + 2)[1:-1].round().astype(int)]
        held[order[:wanted]] = True
        return held

    def _raw(self, X: Any) -> Float64Array:  # noqa: ANN401
        """Predictions [n, T] of the network, NaN for molecules that are none."""
        check_is_fitted(self)
        results = self._results(X, self._conversion())
        records = [result for result in results if isinstance(result, MoleculeRecord)]
        values = np.full((len(results), len(self.target_names_)), np.nan)
        good = np.array([isinstance(result, MoleculeRecord) for result in results])
        if records:
            values[good] = list(self._network().predict_records(records))
        return values

    def _network(self) -> Predictor:
        from moleblend_plugin.inference.predictor import Predictor

        if "_predictor" not in self.__dict__:
            self._predictor = Predictor.from_bytes(self.checkpoint_, self.device)
        found: Predictor = self._predictor
        return found


def label_table(y: Any, n: int, dtype: Any) -> tuple[npt.NDArray[Any], tuple[str, ...], bool]:  # noqa: ANN401
    """Labels [n, T], names of the targets, and whether ``y`` was two-dimensional."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    values = np.asarray(y, dtype)
    if values.ndim not in (1, 2):
        raise ValueError(f"y should be a 1d or 2d array, got an array of shape {values.shape} instead")
    check_consistent_length(range(n), values)
    two = values.ndim == 2
    columns = getattr(y, "columns", None)
    names = [f"y{number}" for number in range(values.shape[1])] if two else ["y"]
    if columns is not None:
        names = [str(name) for name in columns]
    return values.reshape(n, -1), tuple(names), two


def label_numbers(y: Any, n: int) -> tuple[Float64Array, tuple[str, ...], bool]:  # noqa: ANN401
    """:func:`label_table` of numbers, NaN where a label is missing.

    Raises:
        ValueError: text, infinity, or a target without any label.
    """
    values, names, two = label_table(y, n, np.float64)
    far = np.argwhere(np.abs(values) > LARGEST)  # infinity too
    if len(far):
        row, column = far[0]
        raise ValueError(
            f"y contains infinity or a value beyond float32: y[{row}] is {values[row, column]:g} "
            f"in {names[column]!r}: give numbers up to {LARGEST:.2g}, or NaN where a label is missing"
        )
    empty = [name for name, column in zip(names, values.T, strict=True) if np.isnan(column).all()]
    if empty:
        raise ValueError(f"y has no label at all for {', '.join(empty)}: leave the column out")
    return values, names, two
