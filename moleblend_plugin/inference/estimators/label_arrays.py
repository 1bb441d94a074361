"""Labels and weights of estimators as arrays, from whatever holds them: lists, arrays, series, frames.

Legend: n molecules, T targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length

from moleblend_plugin.label_kinds import MOST_CLASSES
from moleblend_plugin.names import parse_names, write_names
from moleblend_plugin.schema import FLOAT32_MAX, Float64Array


def is_missing(label: object) -> bool:
    """Whether a label is None, NaN or another value that is not equal to itself, such as pandas' NA."""
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(label, float | np.floating) and bool(np.isnan(label))


def label_table(
    y: npt.ArrayLike, n: int, dtype: type | None
) -> tuple[npt.NDArray[Any], tuple[str, ...], bool]:
    """Labels [n, T], names of the targets, and whether ``y`` was two-dimensional.

    Raises:
        ValueError: no labels, another shape, or not as many as molecules.
    """
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    values = _array(y)
    if values.ndim not in (1, 2):
        raise ValueError(f"y should be a 1d or 2d array, got an array of shape {values.shape} instead")
    check_consistent_length(range(n), values)
    two = values.ndim == 2
    names = [f"y{number}" for number in range(values.shape[1])] if two else ["y"]
    if hasattr(y, "columns"):
        names = _column_names(y)
    if len(set(names)) < len(names):
        raise ValueError(f"y has two columns of one name ({', '.join(names)}): rename one")
    values = values.reshape(n, -1)
    return (_numbers(values, names) if dtype is np.float64 else values), tuple(names), two


def label_numbers(y: npt.ArrayLike, n: int) -> tuple[Float64Array, tuple[str, ...], bool]:
    """:func:`label_table` of numbers, NaN where a label is missing.

    Raises:
        ValueError: text, infinity, a number beyond float32, or a target without any label.
    """
    values, names, two = label_table(y, n, np.float64)
    if np.isinf(values).any():
        raise ValueError("y contains infinity: give numbers, or NaN where a label is missing")
    beyond = np.argwhere(np.abs(np.nan_to_num(values)) > FLOAT32_MAX)
    if len(beyond):
        row, column = beyond[0]
        raise ValueError(
            f"y[{row}] = {values[row, column]:g} is beyond float32 ({FLOAT32_MAX:.3g}), in which networks "
            "compute: give y in another unit"
        )
    empty = [name for name, column in zip(names, values.T, strict=True) if np.isnan(column).all()]
    if empty:
        raise ValueError(f"y has no label at all for {', '.join(empty)}: leave the column out")
    return values, names, two


def is_binary_column(labels: npt.NDArray[Any]) -> bool:
    """Whether labels [n] are 0, 1 and missing ones alone, as those of several targets are."""
    return all(is_missing(label) or (not isinstance(label, str) and label in (0, 1)) for label in labels)


def find_classes(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The classes among labels [n] of one target, in order; two or more.

    Raises:
        ValueError: there is one, or too many, or the labels are of several types, or fractions.
    """
    missing = np.array([is_missing(label) for label in labels.tolist()])
    try:
        classes: npt.NDArray[Any] = np.unique(labels[~missing])
    except TypeError as error:  # text and numbers have no order
        kinds = sorted({type(label).__name__ for label in labels[~missing].tolist()})
        raise ValueError(f"y mixes labels of {' and '.join(kinds)}: give all in one type") from error
    if len(classes) < 2:
        raise ValueError(
            f"y has {len(classes)} class{'es' if len(classes) != 1 else ''}, where two or more are needed"
        )
    if len(classes) > 2:
        check_classification_targets(np.array(labels[~missing].tolist()))  # fractions are values
    if len(classes) > MOST_CLASSES:
        raise ValueError(
            f"y has {len(classes)} classes, more than {MOST_CLASSES}: use MoleblendRegressor for values"
        )
    return classes


def names_of_classes(classes: Sequence[Any]) -> tuple[str, ...]:
    """What classes are called in a checkpoint: their texts, or their numbers where two would be alike."""
    texts = [f"{label:.0f}" if isinstance(label, float) else str(label) for label in classes]
    written = parse_names(write_names(texts))
    return written if len(set(written)) == len(classes) else tuple(map(str, range(len(classes))))


def coded_classes(labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> Float64Array:
    """0, 1 ... and NaN [n, 1] of labels, NaN also for classes that only molecules of weight 0 have."""
    place = {label: number for number, label in enumerate(classes.tolist())}
    codes = [
        float("nan") if is_missing(label) else place.get(label, float("nan")) for label in labels.tolist()
    ]
    return np.array(codes, np.float64)[:, None]


def check_sample_weight(sample_weight: npt.ArrayLike | None, n: int) -> Float64Array | None:
    """Weights [n] as scikit-learn takes them: ``None``, one number for all, or a number per molecule.

    Raises:
        ValueError: another shape, NaN, infinity, a negative number, or zeros only.
    """
    if sample_weight is None:
        return None
    try:
        weights = np.asarray(_array(sample_weight), np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError("sample_weight holds something that is not a number") from error
    if weights.ndim == 0:
        weights = np.full(n, float(weights))
    if weights.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weights.ndim}D array")
    if len(weights) != n:
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(n,)}!")
    if not np.isfinite(weights).all():
        raise ValueError("Input sample_weight contains NaN or infinity: give a finite number per molecule")
    if (weights < 0).any():
        row = int(np.flatnonzero(weights < 0)[0])
        raise ValueError(f"Negative values in sample_weight (sample_weight[{row}] = {weights[row]:g})")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def _array(values: Any) -> npt.NDArray[Any]:  # noqa: ANN401  list, array, series or frame
    if hasattr(values, "to_pydict"):  # a pyarrow table has no array of its own
        return np.array(list(values.to_pydict().values()), object).T
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError("y should be a 1d or 2d array: its rows have different lengths") from error


def _column_names(y: Any) -> list[str]:  # noqa: ANN401  a frame
    names = y.column_names if hasattr(y, "column_names") else y.columns
    return [str(name) for name in names]


def _numbers(values: npt.NDArray[Any], names: list[str]) -> Float64Array:
    """``values`` [n, T] as numbers, NaN for what is missing."""
    if values.dtype != object:
        try:
            return np.asarray(values, np.float64)
        except (TypeError, ValueError):
            values = values.astype(object)
    found = np.full(values.shape, np.nan)
    for (row, column), label in np.ndenumerate(values):
        if is_missing(label):
            continue
        try:
            found[row, column] = float(label)
        except (TypeError, ValueError) as error:
            where = f"y[{row}]" + (f" ({names[column]})" if len(names) > 1 else "")
            raise ValueError(
                f"{where} is {label!r}, which is not a number: give numbers, or NaN where a label is missing"
            ) from error
    return found


def metric(name: str) -> Callable[..., float]:
    """A score of ``sklearn.metrics``, which are imported with the first that is wanted."""
    from sklearn import metrics

    score: Callable[..., float] = getattr(metrics, name)
    return lambda *args, **kwargs: float(score(*args, **kwargs))
