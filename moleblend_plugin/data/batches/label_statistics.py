"""What a property run must know about its labels before it begins: one pass over a store.

M molecules, L labels per molecule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.batches.dataset import Records
from moleblend_plugin.data.store.reader import DamagedValue
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.label_kinds import MOST_CLASSES, Kinds, each_kind
from moleblend_plugin.schema import FLOAT32_MAX, Float64Array, MoleculeRecord

_CHUNK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Statistics of the labels of one split.

    Attributes:
        names: names of the columns, L.
        present: number of labels per column, int64 [L].
        mean: their mean, weighted where there are weights, float64 [L]; 0 where there is none.
        std: their standard deviation (divided by their number or weight), float64 [L]; 1 where it would be 0.
        positives: number of labels equal to 1, int64 [L].
        conformers: items that evaluation makes of every molecule, int64 [M].
        without_3d: molecules without coordinates.
        first_without_3d: row id of the first of them and why, or "".
        is_class: whether a column holds classes 0 and 1, bool [L].
        of_class: of one column of several classes, the labels of each, from 0 to the largest.
    """

    names: tuple[str, ...]
    present: npt.NDArray[np.int64]
    mean: Float64Array
    std: Float64Array
    positives: npt.NDArray[np.int64]
    conformers: npt.NDArray[np.int64]
    without_3d: int
    first_without_3d: str
    is_class: npt.NDArray[np.bool_]
    of_class: tuple[int, ...] = ()

    @property
    def negatives(self) -> npt.NDArray[np.int64]:
        """Number of labels of class 0, int64 [L]."""
        return self.present - self.positives

    @property
    def one_class(self) -> list[str]:
        """Names of the columns of classes in which fewer than two are labelled."""
        if self.of_class:
            return list(self.names) if np.count_nonzero(self.of_class) < 2 else []
        one = self.is_class & ((self.positives == 0) | (self.negatives == 0))
        return [name for name, few in zip(self.names, one, strict=True) if few]


class _Moments:
    """Count, mean and squared deviations of columns, chunk by chunk (Chan, Golub and LeVeque, 1983)."""

    def __init__(self, columns: int) -> None:
        self.count = np.zeros(columns, np.int64)
        self.weight = np.zeros(columns)
        self.mean = np.zeros(columns)
        self.squares = np.zeros(columns)
        self.ones = np.zeros(columns, np.int64)

    def add(self, rows: Float64Array, weights: Float64Array) -> None:
        """Take in rows [R, L] with NaN where a label is missing, and what each counts, [R]."""
        known = ~np.isnan(rows)
        counts = np.where(known, weights[:, None], 0.0)
        weight = counts.sum(0)
        mean = np.where(known, rows * weights[:, None], 0.0).sum(0) / _or_one(weight)
        squares = (counts * np.where(known, rows - mean, 0.0) ** 2).sum(0)
        total = _or_one(self.weight + weight)
        step = mean - self.mean
        self.squares += squares + step**2 * self.weight * weight / total
        self.mean += step * weight / total
        self.weight += weight
        self.count += known.sum(0)
        self.ones += (rows == 1).sum(0)


def _or_one(weight: Float64Array) -> Float64Array:
    """``weight``, and 1 where it is 0: what is divided there is 0 too."""
    return np.where(weight > 0, weight, 1.0)


def read_labels(
    records: Records,
    columns: Sequence[int],
    names: Sequence[str],
    kinds: Kinds,
    weight_column: int | None = None,
) -> Labels:
    """Read every record once. Damaged ones are passed over: whoever reads them next reports them.

    Args:
        records: the molecules of one split.
        columns: which columns of ``MoleculeRecord.targets``, [L].
        names: their names.
        kinds: of all columns or of each; a column of "classification" takes labels 0 and 1 only, one of
            "multiclass" whole numbers from 0.
        weight_column: which column of ``MoleculeRecord.targets`` holds weights; ``None``: all count alike.

    Raises:
        MoleblendError: a label of another class, or one beyond float32, or a weight that is none; row and
            column are named.
    """
    moments, chosen = _Moments(len(columns)), np.array(columns, np.int64)
    each = each_kind(kinds, len(names))
    is_class = np.array([kind == "classification" for kind in each])
    several = "multiclass" in each  # then it is the only column
    counts = np.zeros(MOST_CLASSES, np.int64)
    conformers = np.ones(len(records), np.int64)
    without, first, chunk, weights = 0, "", [], []
    for index in range(len(records)):
        try:
            record = records[index]
        except DamagedValue:
            continue
        row = record.targets[chosen]
        _check(row, record.row_id, names, is_class)
        if several and not np.isnan(row[0]):
            counts[_class(row[0], record.row_id, names[0])] += 1
        if record.coords is None:
            without += 1
            first = first or f"{record.row_id}: {record.coords_from}"
        else:
            conformers[index] = len(record.coords)
        chunk.append(row)
        weights.append(1.0 if weight_column is None else _weight(record, weight_column))
        if len(chunk) == _CHUNK:
            moments.add(np.stack(chunk), np.array(weights))
            chunk, weights = [], []
    if chunk:
        moments.add(np.stack(chunk), np.array(weights))
    std = np.sqrt(moments.squares / _or_one(moments.weight))
    std = np.where(std > 1e-12 * np.maximum(1.0, np.abs(moments.mean)), std, 1.0)
    of_molecules = (conformers, without, first)
    of_class = tuple(np.trim_zeros(counts, "b").tolist())
    return Labels(
        tuple(names), moments.count, moments.mean, std, moments.ones, *of_molecules, is_class, of_class
    )


def _class(label: float, row_id: str, name: str) -> int:
    if label != int(label) or not 0 <= label < MOST_CLASSES:
        raise MoleblendError(
            f"{row_id}: column {name!r} holds {label:g}, but classes are whole numbers from 0 to "
            f"{MOST_CLASSES - 1} (an empty cell is missing): number them, or train with --loss "
            "moleblend_regression"
        )
    return int(label)


def _weight(record: MoleculeRecord, column: int) -> float:
    weight = float(record.targets[column])
    if not 0 <= weight < np.inf:
        given = "no weight" if np.isnan(weight) else f"the weight {weight:g}"
        raise MoleblendError(
            f"{record.row_id} has {given} in --weight-column: give every row a finite number from 0"
        )
    return weight


def _check(row: Float64Array, row_id: str, names: Sequence[str], is_class: npt.NDArray[np.bool_]) -> None:
    odd = np.abs(row) > FLOAT32_MAX  # infinity too
    odd |= is_class & ~(np.isnan(row) | (row == 0) | (row == 1))
    if not odd.any():
        return
    place = int(np.flatnonzero(odd)[0])
    what = f"{row_id}: column {names[place]!r} holds {row[place]:g}"
    if abs(row[place]) > FLOAT32_MAX:
        raise MoleblendError(
            f"{what}, which is not a label: networks compute in float32, up to {FLOAT32_MAX:.2g}; "
            "correct the row, or leave its cell empty, and build again"
        )
    raise MoleblendError(
        f"{what}, but classes are 0 and 1 (an empty cell is missing): correct the column, or train with "
        "--loss moleblend_regression"
    )
