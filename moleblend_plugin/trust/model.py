"""How far to trust a model's predictions: its calibration and its domain, in one value that a file keeps.

What is kept are the predictions of molecules that the model was not trained on, beside their labels; from
them follow intervals, calibrated probabilities and prediction sets at any level.

Legend: n calibration molecules, M new ones, T targets. Of one of K classes there is one target, and
predictions are [., K].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.label_kinds import ColumnKind, each_kind
from moleblend_plugin.schema import Float64Array, LabelKind
from moleblend_plugin.trust.calibration import Platt, expected_calibration_error
from moleblend_plugin.trust.classes import class_p_values, multiclass_p_values, prediction_sets
from moleblend_plugin.trust.conformal import check_level, rows_needed
from moleblend_plugin.trust.domain import Domain, Neighbours
from moleblend_plugin.trust.intervals import ErrorLine, ResidualKind, half_widths
from moleblend_plugin.trust.temperature import Temperature, top_class_calibration_error

Source = Literal["folds", "scaffold folds", "validation"]
"""Who predicted the calibration molecules: the member whose fold they are, or what held them out."""

DEFAULT_RESIDUALS: Final[ResidualKind] = "normalised"

NO_CALIBRATION: Final = (
    "the model has no predictions of molecules that it was not trained on: fit it with ensemble_size=5 and "
    "ensemble='folds', or with a validation_fraction"
)


class HeldOut(NamedTuple):
    """Predictions of n molecules by what was not trained on them.

    Attributes:
        source: by what.
        smiles: the molecules.
        rows: int64 [n], their rows in what was given to ``fit``, counted from 0.
        targets: [n, T], NaN where a label is missing.
        predictions: [n, T], values or probabilities of class 1, or [n, K]; NaN where there is none.
        folds: int64 [n]; whose fold a molecule is in did not learn from it. ``None``: one group.
    """

    source: Source
    smiles: Sequence[str]
    rows: npt.NDArray[np.int64]
    targets: Float64Array
    predictions: Float64Array
    folds: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Calibration:
    """What is kept of :class:`HeldOut`.

    Attributes:
        source: see there.
        rows: int64 [n].
        targets: [n, T].
        predictions: [n, T] or [n, K]; NaN where there is no label.
        similarity: [n], to the nearest molecule that the prediction's model was trained on; NaN for all but
            5,000 of a larger set, drawn at random.
        lines: of the targets that are values.
        maps: of the targets that are classes; of several classes one for all.
        error_after: of the targets that are classes: expected calibration error of probabilities that were
            calibrated without the molecule's own fold.
    """

    source: Source
    rows: npt.NDArray[np.int64]
    targets: Float64Array
    predictions: Float64Array
    similarity: Float64Array
    lines: tuple[ErrorLine, ...] = ()
    maps: tuple[Platt | Temperature, ...] = ()
    error_after: tuple[float, ...] = ()

    @property
    def residuals(self) -> Float64Array:
        """[n, T]: label minus prediction, NaN where one is missing; of use for values."""
        return self.targets - self.predictions


@dataclass(frozen=True)
class Trust:
    """Calibration and domain of a model.

    Attributes:
        kind: "classification", "multiclass", "regression" or "mixed".
        names: of the T targets.
        domain: the molecules that it was trained on.
        calibration: ``None`` where nothing was held out.
        classes: of one target with classes, what 0, 1 ... stand for; else 0 and 1.
        kinds: of every target, where they are mixed.
    """

    kind: LabelKind
    names: tuple[str, ...]
    domain: Domain
    calibration: Calibration | None = None
    classes: tuple[Any, ...] = field(default=(0, 1))
    kinds: tuple[ColumnKind, ...] = ()

    @property
    def column_kinds(self) -> tuple[ColumnKind, ...]:
        """The kind of every target."""
        return each_kind(self.kinds or self.kind, len(self.names))

    def places(self, kind: ColumnKind) -> list[int]:
        """Which targets are of a kind."""
        return [place for place, own in enumerate(self.column_kinds) if own == kind]

    @property
    def held_out(self) -> Calibration:
        """The calibration.

        Raises:
            MoleblendError: nothing was held out.
        """
        if self.calibration is None:
            raise MoleblendError(NO_CALIBRATION)
        return self.calibration

    @cached_property
    def counts(self) -> dict[str, int]:
        """By target, the calibration molecules."""
        held = self.held_out
        if self.kind == "multiclass":
            known = [int((~np.isnan(held.targets[:, 0]) & np.isfinite(held.predictions).all(1)).sum())]
        else:
            known = np.isfinite(held.residuals).sum(0).tolist()
        return dict(zip(self.names, known, strict=True))

    def too_few(self, level: float) -> dict[str, int]:
        """By target of values, the number of calibration molecules where an interval needs more."""
        counts = [(self.names[place], self.counts[self.names[place]]) for place in self.places("regression")]
        return {name: count for name, count in counts if count < rows_needed(level)}

    def intervals(
        self,
        values: npt.ArrayLike,
        similarity: npt.ArrayLike,
        level: float = 0.9,
        residuals: ResidualKind = DEFAULT_RESIDUALS,
    ) -> Float64Array:
        """Lower and upper bounds [M, T, 2] in the targets' units, of targets that are values.

        Args:
            values: predictions [M, T].
            similarity: [M], to the nearest training molecule (:meth:`nearest`).
            level: wanted share of molecules inside.
            residuals: see ``trust.intervals.ResidualKind``.

        Returns:
            NaN without a prediction and for classes; minus infinity and infinity for a target with too few
            calibration molecules (:meth:`too_few`).

        Raises:
            MoleblendError: nothing was held out, every target has too few molecules for the level, or the
                model distinguishes classes.
        """
        if self.kind in ("classification", "multiclass"):
            raise MoleblendError("intervals are for regression: ask for prediction sets of a classification")
        held, predicted = self.held_out, np.asarray(values, np.float64)
        few = self.too_few(check_level(level))
        if len(few) == len(self.names):  # beside classes, they are infinite
            raise MoleblendError(
                f"an interval at level {level:g} needs {rows_needed(level)} molecules that the model was not "
                f"trained on, and there are {max(few.values())}: ask for a lower level, or fit on more"
            )
        half = np.full(predicted.shape, np.nan)
        for place, line in zip(self.places("regression"), held.lines, strict=True):
            column = held.residuals[:, place]
            half[:, place] = half_widths(column, held.similarity, similarity, line, level, residuals)
        return np.stack((predicted - half, predicted + half), 2)

    def calibrated(self, probabilities: npt.ArrayLike) -> Float64Array:
        """Calibrated probabilities of class 1 [M, T], or [M, K], of the model's own; NaN for values.

        Raises:
            MoleblendError: nothing was held out, or the model is a regression.
        """
        given = np.asarray(probabilities, np.float64)
        self._check_classes()
        if self.kind == "multiclass":
            return self.held_out.maps[0](given)
        found = np.full(given.shape, np.nan)
        for place, map_ in zip(self.places("classification"), self.held_out.maps, strict=True):
            found[:, place] = map_(given[:, place])
        return found

    def sets(self, probabilities: npt.ArrayLike, level: float = 0.9) -> npt.NDArray[np.bool_]:
        """Which classes the prediction sets hold: bool [M, T, 2] or [M, 1, K]; never none of a molecule with
        a prediction, but for targets that are values.

        Args:
            probabilities: [M, T] or [M, K], the model's own, not calibrated.
            level: wanted share of each class's molecules whose set holds it.

        Raises:
            MoleblendError: nothing was held out, the level is out of range, or the model is a regression.
        """
        given = np.asarray(probabilities, np.float64)
        self._check_classes()
        held = self.held_out
        if self.kind == "multiclass":
            p_values = multiclass_p_values(held.predictions, held.targets[:, 0], given)
            return prediction_sets(p_values, level)[:, None]
        found = np.zeros((*given.shape, 2), bool)
        for place in self.places("classification"):
            p, y, new = held.predictions[:, place], held.targets[:, place], given[:, place]
            found[:, place] = prediction_sets(class_p_values(p, y, new), level)
        return found

    def nearest(self, smiles: Sequence[str]) -> Neighbours:
        """The nearest training molecule of each; ``place`` is that in ``domain``."""
        return self.domain.nearest(smiles)

    def summary(self, level: float = 0.9) -> dict[str, Any]:
        """What there is to say, as plain values for a report.

        Returns:
            ``source``, ``level``, ``training_molecules``, ``domain_threshold`` (``None``: too few molecules);
            ``targets`` by name: ``molecules``, and ``half_width`` (the median one of the calibration
            molecules; ``None``: too few) or ``calibration_error`` and ``calibration_error_after``, ``slope``
            and ``offset``, or of several classes ``temperature``. Empty ``targets`` where nothing was held
            out.
        """
        threshold = self.domain.threshold
        found: dict[str, Any] = {
            "source": None if self.calibration is None else self.calibration.source,
            "level": check_level(level),
            "training_molecules": len(self.domain.rows),
            "domain_threshold": None if np.isnan(threshold) else threshold,
            "targets": {},
        }
        if self.calibration is not None:
            found["targets"] = {name: self._target(number, level) for number, name in enumerate(self.names)}
        return found

    def _target(self, number: int, level: float) -> dict[str, Any]:
        held, count = self.held_out, self.counts[self.names[number]]
        kind = self.column_kinds[number]
        own = self.places(kind).index(number)
        if kind == "regression":
            half = half_widths(
                held.residuals[:, number],
                held.similarity,
                held.similarity[~np.isnan(held.similarity)],
                held.lines[own],
                level,
                DEFAULT_RESIDUALS,
            )
            median = float(np.median(half)) if len(half) else np.inf
            return {"molecules": count, "half_width": median if np.isfinite(median) else None}
        if kind == "multiclass":
            before = top_class_calibration_error(held.predictions, held.targets[:, number])
        else:
            before = expected_calibration_error(held.predictions[:, number], held.targets[:, number])
        after, map_ = held.error_after[own], held.maps[own]
        of_map = {"temperature": map_.value} if isinstance(map_, Temperature) else map_._asdict()
        return {
            "molecules": count,
            "calibration_error": None if np.isnan(before) else before,
            "calibration_error_after": None if np.isnan(after) else after,
            **of_map,
        }

    def _check_classes(self) -> None:
        if self.kind == "regression":
            raise MoleblendError("the model is a regression: ask for its intervals")
