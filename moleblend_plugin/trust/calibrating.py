"""From what a model said of molecules that it was not trained on, to how far to trust it.

Legend: n calibration molecules, T targets. Of one of K classes there is one target; predictions are [n, K].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.label_kinds import Kinds, each_kind, kind_of_all
from moleblend_plugin.schema import Float64Array
from moleblend_plugin.trust.calibration import Platt, expected_calibration_error, fit_platt
from moleblend_plugin.trust.domain import MOST, Domain, nearest, packed_ecfp4
from moleblend_plugin.trust.intervals import fit_error_line
from moleblend_plugin.trust.model import Calibration, HeldOut, Trust
from moleblend_plugin.trust.temperature import Temperature, fit_temperature, top_class_calibration_error


def calibrate(
    kinds: Kinds,
    names: Sequence[str],
    domain: Domain,
    held: HeldOut | None = None,
    classes: tuple[Any, ...] = (0, 1),
) -> Trust:
    """The trust in a model from what it said of molecules that it was not trained on.

    Args:
        kinds: "classification", "multiclass" or "regression", of all targets or of each.
        names: of the T targets.
        domain: the molecules that the model was trained on; those of ``held`` among them have their folds.
        held: what it said; ``None``: nothing was held out.
        classes: what 0, 1 ... stand for.
    """
    each = each_kind(kinds, len(names))
    kind = kind_of_all(each)
    of_model = classes, each if kind == "mixed" else ()
    if held is None:
        return Trust(kind, tuple(names), domain, None, *of_model)
    predictions = np.where(np.isnan(held.targets), np.nan, held.predictions)
    predictions = np.where(np.isfinite(predictions), predictions, np.nan)
    similarity = _similarity(domain, held)
    rows = np.asarray(held.rows, np.int64)
    if kind == "multiclass":
        labels = held.targets[:, 0]
        temperature = (fit_temperature(predictions, labels),)
        others = _calibrated_by_others(predictions, labels, _groups_of(held), fit_temperature)
        error = (top_class_calibration_error(others, labels),)
        kept = Calibration(held.source, rows, held.targets, predictions, similarity, (), temperature, error)
        return Trust(kind, tuple(names), domain, kept, *of_model)
    columns = list(zip(each, predictions.T, held.targets.T, strict=True))
    lines = tuple(fit_error_line(y - p, similarity) for own, p, y in columns if own == "regression")
    pairs = [(p, y) for own, p, y in columns if own == "classification"]
    maps = tuple(fit_platt(p, y) for p, y in pairs)
    after = tuple(
        expected_calibration_error(_calibrated_by_others(p, y, _groups_of(held), fit_platt), y)
        for p, y in pairs
    )
    kept = Calibration(held.source, rows, held.targets, predictions, similarity, lines, maps, after)
    return Trust(kind, tuple(names), domain, kept, *of_model)


def _similarity(domain: Domain, held: HeldOut) -> Float64Array:
    """Similarity [n] to the nearest molecule that the prediction's model was trained on."""
    found = np.full(len(held.rows), np.nan)
    chosen = np.arange(len(found))
    if len(chosen) > MOST:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, MOST, replace=False))
    new = packed_ecfp4([held.smiles[place] for place in chosen.tolist()])
    if held.folds is None:
        found[chosen] = nearest(new, domain.fingerprints).similarity
        return found
    fold_of = dict(zip(held.rows.tolist(), held.folds.tolist(), strict=True))
    groups = np.array([fold_of.get(row, -1) for row in domain.rows.tolist()], np.int64)
    found[chosen] = nearest(new, domain.fingerprints, held.folds[chosen], groups).similarity
    return found


_PARTS: Final = 5


def _groups_of(held: HeldOut) -> npt.NDArray[np.int64]:
    """The folds, or five parts where there are none."""
    return np.arange(len(held.rows)) % _PARTS if held.folds is None else held.folds


def _calibrated_by_others(
    probabilities: Float64Array,
    labels: Float64Array,
    groups: npt.NDArray[np.int64],
    fit: Callable[[Float64Array, Float64Array], Platt | Temperature],
) -> Float64Array:
    """Probabilities [n] or [n, K], each calibrated by the molecules of the other groups."""
    found = probabilities.copy()
    for group in np.unique(groups):
        own = groups == group
        found[own] = fit(probabilities[~own], labels[~own])(probabilities[own])
    return found
