"""The test part: predictions, scores with intervals beside those of baselines, likeness to training.

Legend: m molecules of the test part, n of the training part, T targets, E networks. Of one of K classes there
is one target, and predictions are [m, K].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.baselines.features import joined, molecule_features
from moleblend_plugin.baselines.kinds import BASELINES
from moleblend_plugin.baselines.task_models import fit_tasks
from moleblend_plugin.fitting.table import FitTable
from moleblend_plugin.inference.input_rows import Input, InputRow
from moleblend_plugin.inference.outputs import predict_to_table
from moleblend_plugin.inference.predictor import Ensemble, Predictor
from moleblend_plugin.inference.scoring import Score, Scored, score_all
from moleblend_plugin.inference.stack import extra_of, features_of
from moleblend_plugin.inference.trust_columns import LEVEL, choose_trust_columns
from moleblend_plugin.schema import Float64Array
from moleblend_plugin.trust.domain import nearest, packed_ecfp4
from moleblend_plugin.trust.model import Trust

MODEL: Final = "this model"
BASELINE_KINDS: Final = {
    "descriptors-rf": "random forest on RDKit's descriptors",
    "ecfp4-counts-rf": "random forest on ECFP4 counts",
}
"""Baselines that stand beside the model, and what the report calls them."""

MOST_BASELINE_ROWS: Final = 5_000
"""Training molecules of a baseline: a forest on 2,048 columns takes longer than the network beyond."""


class Evaluation(NamedTuple):
    """What the test part says.

    Attributes:
        rows: int64 [m], places in the table.
        labels: [m, T], NaN where one is missing.
        predictions: [m, T] or [m, K], by what made them; the first is ``MODEL``.
        scores: by what made the predictions, every score of the task with its intervals.
        similarity: [m], Tanimoto similarity (ECFP4) to the nearest training molecule.
        nearest: int64 [m], its place in the table.
        notes: what a reader must know.
        trust: calibration and domain of the model; ``None`` where it has none.
        bounds: [m, T, 2], intervals at :data:`LEVEL`, NaN for classes; ``None`` where there are none.
        calibrated: [m, T] or [m, K], calibrated probabilities, NaN for values; ``None`` where there are none.
        sets: bool [m, K], prediction sets of several classes at :data:`LEVEL`; ``None`` where there are none.
        class_names: of several classes in one column.
    """

    rows: npt.NDArray[np.int64]
    labels: Float64Array
    predictions: dict[str, Float64Array]
    scores: dict[str, dict[str, Score]]
    similarity: Float64Array
    nearest: npt.NDArray[np.int64]
    notes: tuple[str, ...] = ()
    trust: Trust | None = None
    bounds: Float64Array | None = None
    calibrated: Float64Array | None = None
    sets: npt.NDArray[np.bool_] | None = None
    class_names: tuple[str, ...] = ()

    @property
    def own_class(self) -> npt.NDArray[np.int64]:
        """Of several classes, that of each molecule [m]: all of them have a label."""
        return self.labels[:, 0].astype(np.int64)

    @property
    def coverage(self) -> Float64Array:
        """Share of the test labels inside of their intervals [T]; of no use for classes, NaN without any."""
        assert self.bounds is not None
        known = ~np.isnan(self.labels)
        inside = (self.labels >= self.bounds[..., 0]) & (self.labels <= self.bounds[..., 1])
        share: Float64Array = (inside & known).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
        return share


class HeldInput(Input):
    """Molecules that are converted already, as an input of ``predict_to_table``.

    Args:
        table: the table.
        rows: places of the molecules.
    """

    def __init__(self, table: FitTable, rows: npt.NDArray[np.int64]) -> None:
        self.header = table.held.header
        self._rows = [
            InputRow(
                table.held.row_id(int(table.kept[row])), table.held.cells[table.kept[row]], table.records[row]
            )
            for row in rows.tolist()
        ]

    def __iter__(self) -> Iterator[InputRow]:
        return iter(self._rows)


def write_predictions(predictor: Predictor, table: FitTable, rows: npt.NDArray[np.int64], path: Path) -> None:
    """Write what ``moleblend predict`` would of these rows: all their columns, and the predictions."""
    several = predictor.n_members > 1
    extra, _ = choose_trust_columns(predictor, several, None, with_trust=True)
    rows_in = HeldInput(table, rows)
    predict_to_table(predictor, rows_in, path, 64, lambda done: None, members_sd=several, extra=extra)


def evaluate(
    predictor: Predictor,
    table: FitTable,
    train: npt.NDArray[np.int64],
    test: npt.NDArray[np.int64],
) -> Evaluation:
    """Score the model and the baselines on the test part.

    Args:
        predictor: the model.
        table: the table.
        train: places of what it was trained on.
        test: places of the others, one or more.
    """
    own = np.array(list(predictor.predict_records([table.records[row] for row in test.tolist()])))
    predictions = {MODEL: own}
    notes = _add_baselines(predictions, predictor, table, train, test)
    labels = table.labels[test]
    ids = [table.row_ids[row] for row in test.tolist()]
    scores = {}
    for name, values in predictions.items():
        scored = Scored(table.names, ids, labels, values, len(test))
        scores[name] = score_all(predictor, scored, 1000, 0, 0.95)
    new, known = (packed_ecfp4([table.smiles[row] for row in rows.tolist()]) for rows in (test, train))
    near = nearest(new, known)
    found = Evaluation(test, labels, predictions, scores, near.similarity, train[near.place], tuple(notes))
    found = found._replace(class_names=predictor.class_names)
    return _with_trust(found, predictor.trust)


def _with_trust(found: Evaluation, trust: Trust | None) -> Evaluation:
    """With intervals or calibrated probabilities, where the model can give them."""
    found = found._replace(trust=trust)
    if trust is None or trust.calibration is None:
        return found
    own = found.predictions[MODEL]
    if trust.kind != "regression":
        found = found._replace(calibrated=trust.calibrated(own))
    if trust.kind == "multiclass":
        return found._replace(sets=trust.sets(own, LEVEL)[:, 0])
    if len(trust.too_few(LEVEL)) == len(trust.places("regression")):
        return found
    return found._replace(bounds=trust.intervals(own, found.similarity, LEVEL))


def _add_baselines(
    predictions: dict[str, Float64Array],
    predictor: Predictor,
    table: FitTable,
    train: npt.NDArray[np.int64],
    test: npt.NDArray[np.int64],
) -> list[str]:
    """Predictions of the baselines; those that a stack holds were fitted on the training part already."""
    smiles = [table.smiles[row] for row in test.tolist()]
    stack = predictor.stack if isinstance(predictor, Ensemble) else None
    if stack is not None and set(BASELINE_KINDS) <= set(stack.forests):
        blocks = stack.blocks(
            smiles, extra_of([table.records[row] for row in test.tolist()], table.read_beside)
        )
        for kind, name in BASELINE_KINDS.items():
            predictions[name] = stack.forests[kind].predict(features_of(kind, blocks))
        return ["The baselines are also base models of the stack."]
    notes = []
    if len(train) > MOST_BASELINE_ROWS:
        train = np.random.default_rng(0).choice(train, MOST_BASELINE_ROWS, replace=False)
        notes.append(f"The baselines were fitted on {MOST_BASELINE_ROWS:,} molecules of the training part.")
    for kind, name in BASELINE_KINDS.items():
        fitted = fit_tasks(
            kind,
            table.classes_of,
            0,
            _features(kind, table, train),
            table.labels[train],
            table.names,
            missing=bool(table.read_beside),
            classes=len(table.class_names),
        )
        predictions[name] = fitted.predict(_features(kind, table, test))
    return notes


def _features(kind: str, table: FitTable, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """What a baseline sees of some molecules: its features, and the columns that the model reads too."""
    found = molecule_features(BASELINES[kind].features, [table.smiles[row] for row in rows.tolist()]).values
    return joined([found, table.descriptors[rows]]) if table.read_beside else found


def label_spread(evaluation: Evaluation) -> Float64Array:
    """Standard deviation of the test labels [T]; 1 where they are all equal."""
    spread: Float64Array = np.nanstd(evaluation.labels, axis=0)
    spread[~(spread > 0)] = 1.0
    return spread


def errors(evaluation: Evaluation) -> Float64Array:
    """How wrong the model is on each molecule [m]: mean over its labels, each in units of its deviation; of
    several classes 1 less the probability of its own."""
    if evaluation.class_names:
        own = np.take_along_axis(evaluation.predictions[MODEL], evaluation.own_class[:, None], 1)
        wrong: Float64Array = 1 - own[:, 0]
        return wrong
    off = np.abs(evaluation.predictions[MODEL] - evaluation.labels) / label_spread(evaluation)
    known = ~np.isnan(off)
    mean: Float64Array = np.where(known, off, 0).sum(1) / np.maximum(known.sum(1), 1)
    return mean


def score_facts(evaluation: Evaluation) -> dict[str, dict[str, dict[str, object]]]:
    """Scores as plain values: by what made the predictions, by score, the mean and every target."""
    return {
        name: {key: _fact(score) for key, score in scores.items()}
        for name, scores in evaluation.scores.items()
    }


def _fact(score: Score) -> dict[str, object]:
    names: Mapping[str, float] = score.values.per_task
    return {
        "mean": _plain(score.values.mean),
        "interval": [_plain(value) for value in score.intervals.mean],
        "per_target": {name: _plain(value) for name, value in names.items()},
    }


def _plain(value: float) -> float | None:
    return None if value != value else value
