"""What the user of a fit leaves open, settled: the choices are those of the estimators."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.inference.estimators.defaults import AUTO, settled
from moleblend_plugin.schema import LabelKind


def with_defaults(options: FitOptions, molecules: int) -> FitOptions:
    """``options`` in which nothing about training is left open.

    Args:
        options: what the user said; its ``task`` is settled.
        molecules: of the training part.
    """
    given = {
        "ensemble": "folds",
        "ensemble_size": options.ensemble_size or AUTO,
        "epochs": options.epochs or AUTO,
        "batch_size": options.batch_size or AUTO,
        "stacking": options.stacking if options.stacking == AUTO else options.stacking == "yes",
        "readout": options.readout,
        "molecule_featurizers": options.molecule_featurizers,
    }
    chosen = settled(given, cast("LabelKind", options.task), molecules)
    return replace(options, **chosen | {"stacking": "yes" if chosen["stacking"] else "no"})
