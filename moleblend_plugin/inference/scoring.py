"""Labelled molecules through a network: every score of its task, with intervals, per target and on average.

Legend: M molecules with a label and a prediction, T targets; of one of K classes there is one, and
predictions are [M, K].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.input_labels import LabelsOf, check_labels
from moleblend_plugin.inference.input_rows import Input, InputRow
from moleblend_plugin.inference.outputs import input_columns, predicted
from moleblend_plugin.inference.predicted_columns import predicted_cells, predicted_columns
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.table_writer import ColumnType, TableWriter, free_name, open_table
from moleblend_plugin.inference.windows import LARGEST, OnRows
from moleblend_plugin.metrics.bootstrap import Intervals, intervals
from moleblend_plugin.metrics.scores import SCORERS, TaskScores
from moleblend_plugin.schema import Float64Array

NO_INTERVAL: Final = (float("nan"), float("nan"))
"""Of a score that is not made for the labels of a target."""


@dataclass
class Scored:
    """Labels and predictions of an input.

    Attributes:
        names: of the targets, T.
        row_ids: of the M molecules that are scored.
        targets: their labels [M, T], NaN where one is missing.
        predictions: [M, T] or [M, K].
        rows: rows read.
        without_label: molecules with a prediction and no label at all.
        rejected: rows that are not scored, by kind of reason.
    """

    names: tuple[str, ...]
    row_ids: list[str] = field(default_factory=list)
    targets: Float64Array = field(default_factory=lambda: np.empty((0, 0)))
    predictions: Float64Array = field(default_factory=lambda: np.empty((0, 0)))
    rows: int = 0
    without_label: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def labels(self) -> dict[str, int]:
        """Labels of every target."""
        counts = (~np.isnan(self.targets)).sum(0).tolist()
        return dict(zip(self.names, counts, strict=True))


@dataclass(frozen=True)
class Score:
    """One score with its intervals.

    Attributes:
        values: per task and on average; tasks on which it is undefined are named.
        intervals: of the mean, and of every task in the order of the names; NaN for tasks of another kind.
    """

    values: TaskScores
    intervals: Intervals


def predict_labelled(
    predictor: Predictor,
    rows: Input,
    labels_of: LabelsOf,
    batch_size: int,
    progress: OnRows,
    table: Path | None = None,
    window: int = LARGEST,
) -> Scored:
    """Predict every row and keep what has a label.

    Args:
        predictor: the network.
        rows: the input.
        labels_of: where its labels stand (``labelled.labels_of``).
        batch_size: conformers per batch at most.
        progress: told how many rows are finished.
        table: file for all rows, or ``None``: the input's columns, ``label_NAME``, ``predicted_NAME`` and
            ``reason``.
        window: rows held in memory.

    Raises:
        MoleblendError: a label is no class of a classifier, no row has a label and a prediction, or the table
            cannot be written.
    """
    scored = Scored(predictor.target_names)
    targets, predictions = [], []
    blank = [None] * len(predicted_columns(predictor))

    def cells(values: Any) -> list[Any]:  # noqa: ANN401  array or None
        return blank if values is None else predicted_cells(predictor, np.asarray(values, np.float64)).cells

    with _table(table, rows, predictor) as writer:
        for part in predicted(predictor, rows, batch_size, progress, window):
            for row, values in part:
                labels, reason = _read(row, labels_of, predictor)
                _count(scored, labels, values is not None, reason)
                if values is not None and not np.isnan(labels).all():
                    scored.row_ids.append(row.row_id)
                    targets.append(labels)
                    predictions.append(values)
                if writer is not None:
                    writer.write(
                        [row.row_id, *row.cells, *_label_cells(labels, predictor), *cells(values), reason]
                    )
        if not targets:
            raise MoleblendError(_nothing(scored))
    scored.targets, scored.predictions = np.array(targets, np.float64), np.array(predictions, np.float64)
    return scored


def score_all(predictor: Predictor, scored: Scored, n: int, seed: int, level: float) -> dict[str, Score]:
    """Every score of the network's targets by their kind, with percentile intervals from ``n`` resamples.

    Raises:
        MoleblendError: ``n`` or ``level`` is out of range.
    """
    found: dict[str, Score] = {}
    for kind in sorted(set(predictor.kinds)):
        own = [place for place, each in enumerate(predictor.kinds) if each == kind]
        targets, predictions = scored.targets[:, own], scored.predictions
        if kind != "multiclass":
            predictions = predictions[:, own]
        names = [scored.names[place] for place in own]
        for name, values in SCORERS[kind](targets, predictions, names).items():
            drawn = intervals(name, targets, predictions, n, seed, level)
            per_task = dict(zip(own, drawn.per_task, strict=True))
            every = [per_task.get(place, NO_INTERVAL) for place in range(len(scored.names))]
            found[name] = Score(values, drawn._replace(per_task=every))
    return found


def _read(row: InputRow, labels_of: LabelsOf, predictor: Predictor) -> tuple[Float64Array, str]:
    """Labels [T] of a row, and why it is not scored, if it is not."""
    missing = np.full(len(predictor.target_names), np.nan)
    if row.record is None:
        return missing, row.reason
    try:
        labels = labels_of(row)
    except ValueError as error:
        return missing, str(error)
    check_labels(labels, row.row_id, predictor.target_names, predictor.kinds, predictor.class_names)
    return labels, ""


def _count(scored: Scored, labels: Float64Array, has_values: bool, reason: str) -> None:
    scored.rows += 1
    if reason:
        scored.rejected[reason.partition(":")[0]] += 1
    elif has_values and np.isnan(labels).all():
        scored.without_label += 1


def _nothing(scored: Scored) -> str:
    reasons = "; ".join(f"{reason}: {count}" for reason, count in scored.rejected.most_common(3))
    more = f" ({reasons})" if reasons else ""
    return (
        f"none of the {scored.rows:,} rows has a label of {', '.join(scored.names[:5])} and a "
        f"molecule{more}: check --target-columns and the file"
    )


@contextmanager
def _table(path: Path | None, rows: Input, predictor: Predictor) -> Iterator[TableWriter | None]:
    if path is None:
        yield None
        return
    columns = input_columns(rows.header)
    kind: ColumnType = "text" if predictor.class_names else "number"
    wanted: dict[str, ColumnType] = {f"label_{name}": kind for name in predictor.target_names}
    for name, each in (wanted | predicted_columns(predictor)).items():
        columns[free_name(name, columns)] = each
    columns[free_name("reason", columns)] = "text"
    with open_table(path, columns) as table:
        yield table


def _label_cells(labels: Float64Array, predictor: Predictor) -> list[Any]:
    """Labels [T] as numbers, or the name of the class."""
    known = [None if label != label else label for label in labels.tolist()]
    if not predictor.class_names:
        return known
    return [None if label is None else predictor.class_names[int(label)] for label in known]
