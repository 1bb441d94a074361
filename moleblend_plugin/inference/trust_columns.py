"""What ``predict`` writes beside a prediction: deviation, interval or set of classes, nearest molecule.

Legend: M molecules of a window, T targets; of one of K classes there is one, and predictions are [K].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.predicted_columns import of_every_class
from moleblend_plugin.inference.predictor import Prediction, Predictor
from moleblend_plugin.inference.table_writer import ColumnType
from moleblend_plugin.schema import Float64Array, MoleculeRecord
from moleblend_plugin.trust.conformal import check_level, rows_needed
from moleblend_plugin.trust.domain import Neighbours
from moleblend_plugin.trust.model import NO_CALIBRATION, Trust

LEVEL: Final = 0.9
"""Of intervals and prediction sets, unless asked otherwise."""

BETWEEN: Final = "|"
"""Between the classes of a prediction set."""


class PredictedRow(NamedTuple):
    """What is written of one molecule.

    Attributes:
        values: [T].
        beside: cells of the other columns, ``None`` for empty ones.
    """

    values: Float64Array
    beside: list[Any]


@dataclass(frozen=True)
class TrustColumns:
    """The columns beside the predictions.

    Attributes:
        members_sd: whether the deviation of the networks is one.
        trust: ``None`` where nothing else is.
        level: of intervals and prediction sets; ``None`` where the model cannot give them.
    """

    members_sd: bool = False
    trust: Trust | None = None
    level: float | None = None

    def columns(self, predictor: Predictor) -> dict[str, ColumnType]:
        """Names and types, in the order of the cells."""
        names = predictor.target_names
        several = bool(predictor.class_names)
        found: dict[str, ColumnType] = {}
        if self.members_sd and several:
            found |= of_every_class("members_sd", predictor)
        elif self.members_sd:
            found |= {f"members_sd_{name}": "number" for name in names}
        if self.trust is None:
            return found
        if self.level is not None and several:
            found |= {**of_every_class("calibrated", predictor), f"set_{names[0]}": "text"}
        elif self.level is not None:
            values = [names[place] for place in self.trust.places("regression")]
            classes = [names[place] for place in self.trust.places("classification")]
            found |= {f"low_{name}": "number" for name in values}
            found |= {f"high_{name}": "number" for name in values}
            found |= {f"calibrated_{name}": "number" for name in classes}
            found |= {f"set_{name}": "text" for name in classes}
        return found | {
            "nearest_similarity": "number",
            "nearest_training_row": "integer",
            "nearest_training_smiles": "text",
            "outside_domain": "flag",
        }

    def results(
        self, predictor: Predictor, records: Iterable[MoleculeRecord], batch_size: int
    ) -> Iterator[PredictedRow]:
        """Predictions and cells of the molecules of a window, in order."""
        window = list(records)
        if self.members_sd:
            found = list(predictor.predict_members(window, batch_size))
        else:
            nothing = np.empty((0, predictor.outputs))
            found = [Prediction(values, nothing) for values in predictor.predict_records(window, batch_size)]
        beside = [one.sd.tolist() if self.members_sd else [] for one in found]
        if self.trust is not None and window:
            values = np.stack([one.values for one in found])
            near = self.trust.nearest([record.smiles for record in window])
            for cells, more in zip(beside, self._cells(self.trust, values, near), strict=True):
                cells += more
        for one, cells in zip(found, beside, strict=True):
            yield PredictedRow(one.values, [None if _is_no_number(cell) else cell for cell in cells])

    def _cells(self, trust: Trust, values: Float64Array, near: Neighbours) -> Iterator[list[Any]]:
        first: list[list[Any]] = [[] for _ in values]
        if self.level is not None and trust.kind == "multiclass":
            sets = trust.sets(values, self.level)[:, 0]  # [M, K]
            first = [
                [*probabilities, self._set(trust, inside)]
                for probabilities, inside in zip(
                    trust.calibrated(values).tolist(), sets.tolist(), strict=True
                )
            ]
        elif self.level is not None and trust.kind != "classification":
            own = trust.places("regression")
            bounds = trust.intervals(values, near.similarity, self.level)[:, own]  # [M, values, 2]
            first = bounds.transpose(0, 2, 1).reshape(len(values), -1).tolist()
        if self.level is not None and trust.kind in ("classification", "mixed"):
            own = trust.places("classification")
            sets = trust.sets(values, self.level)[:, own]  # [M, classes, 2]
            for cells, probabilities, row in zip(
                first, trust.calibrated(values)[:, own].tolist(), sets.tolist(), strict=True
            ):
                cells += [*probabilities, *(self._set(trust, each) for each in row)]
        outside = trust.domain.is_outside(near.similarity).tolist()
        for cells, similarity, place, far in zip(
            first, near.similarity.tolist(), near.place.tolist(), outside, strict=True
        ):
            there = place >= 0
            row = int(trust.domain.rows[place]) if there else None
            yield [*cells, similarity, row, trust.domain.smiles[place] if there else None, far]

    @staticmethod
    def _set(trust: Trust, inside: list[bool]) -> str | None:
        names = [str(label) for label, chosen in zip(trust.classes, inside, strict=True) if chosen]
        return BETWEEN.join(names) or None


def choose_trust_columns(
    predictor: Predictor, members_sd: bool, interval: float | None, with_trust: bool
) -> tuple[TrustColumns, list[str]]:
    """The columns that a model can fill, and what a user should know of those that it cannot.

    Args:
        predictor: the model.
        members_sd: whether the deviation of its networks is asked for.
        interval: the level that is asked for; ``None``: :data:`LEVEL`, and no complaint if there is none.
        with_trust: whether trust is wanted at all.

    Raises:
        MoleblendError: an interval is asked for that the model cannot give.
    """
    trust = predictor.trust if with_trust else None
    if trust is None:
        if interval is not None:
            _refuse_interval(with_trust)
        return TrustColumns(members_sd), []
    several = predictor.n_members > 1
    level = LEVEL if interval is None else check_level(interval)
    if trust.calibration is None:
        if interval is not None:
            raise MoleblendError(f"--interval {level:g}: {NO_CALIBRATION}")
        return TrustColumns(several, trust), [f"no intervals: {NO_CALIBRATION}"]
    few = trust.too_few(level)
    if not few:
        return TrustColumns(several, trust, level), []
    words = ", ".join(f"{name} {count}" for name, count in few.items())
    note = (
        f"an interval at level {level:g} needs {rows_needed(level)} molecules that the model was not trained "
        f"on, and there are fewer ({words}): take a lower --interval, or fit on more"
    )
    if len(few) < len(trust.names):
        return TrustColumns(several, trust, level), [note]
    if interval is not None:
        raise MoleblendError(note)
    return TrustColumns(several, trust), [note]


def _refuse_interval(with_trust: bool) -> None:
    if not with_trust:
        raise MoleblendError("--interval and --no-trust exclude each other: leave one of them out")
    raise MoleblendError(
        "--interval: the model does not say how far to trust it; fit an estimator, which calibrates itself, "
        "and save it"
    )


def _is_no_number(cell: object) -> bool:
    return isinstance(cell, float) and not math.isfinite(cell)
