"""How far to trust what an estimator has just fitted: from molecules that its networks did not see.

A fold's molecules were predicted by one member, a new molecule is by the mean of all k, whose errors are a
little smaller: intervals are a little too wide, and calibrated probabilities a little less sure than they
could be. The weights of a stack are fitted without the fold (``stack_fit.FittedStack.cross_fitted``). Where
there are no folds, the molecules that chose the epoch are what there is: their errors are a little too small.

Legend: n molecules that were given, T targets; of one of K classes there is one, and predictions are [n, K].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.inference.ensemble_file import EnsembleFile
from moleblend_plugin.inference.estimators.ensemble import FittedEnsemble, packed
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.label_kinds import Kinds
from moleblend_plugin.schema import Float64Array, MoleculeRecord
from moleblend_plugin.trust.calibrating import calibrate
from moleblend_plugin.trust.domain import Domain
from moleblend_plugin.trust.file import TrustFile, write_trust
from moleblend_plugin.trust.model import HeldOut


class Fitted(NamedTuple):
    """Molecules of a fit.

    Attributes:
        kinds: of all targets, or of each.
        names: of the T targets.
        records: n of them.
        rows: int64 [n], their rows in what was given to ``fit``.
        targets: [n, T], NaN where a label is missing.
        classes: what 0, 1 ... stand for.
    """

    kinds: Kinds
    names: tuple[str, ...]
    records: Sequence[MoleculeRecord]
    rows: npt.NDArray[np.int64]
    targets: Float64Array
    classes: tuple[Any, ...] = (0, 1)

    def smiles(self, chosen: npt.NDArray[np.bool_]) -> list[str]:
        """Of the ``chosen`` [n]."""
        return [self.records[place].smiles for place in np.flatnonzero(chosen).tolist()]


def trust_of_folds(fitted: Fitted, ensemble: FittedEnsemble) -> TrustFile:
    """From predictions of every molecule by the member that did not see it."""
    stacked = ensemble.stacked
    every = np.ones(len(fitted.rows), bool)
    smiles = fitted.smiles(every)
    held = HeldOut(
        "scaffold folds" if ensemble.grouped else "folds",
        smiles,
        fitted.rows,
        fitted.targets,
        ensemble.out_of_fold if stacked is None else stacked.cross_fitted,
        ensemble.folds,
    )
    domain = Domain.of(smiles, fitted.rows)
    return write_trust(calibrate(fitted.kinds, fitted.names, domain, held, fitted.classes))


def trust_of_validation(
    fitted: Fitted, held: npt.NDArray[np.bool_], model: bytes | EnsembleFile, device: str
) -> TrustFile:
    """From predictions of the molecules that ``held`` [n] kept from training; without, the domain alone."""
    domain = Domain.of(fitted.smiles(~held), fitted.rows[~held])
    if not held.any():
        return write_trust(calibrate(fitted.kinds, fitted.names, domain, None, fitted.classes))
    network = Predictor.from_bytes(packed(model) if isinstance(model, EnsembleFile) else model, device)
    chosen = [fitted.records[place] for place in np.flatnonzero(held).tolist()]
    predictions = np.array(list(network.predict_records(chosen)), np.float64)
    rows, targets = fitted.rows[held], fitted.targets[held]
    kept = HeldOut("validation", fitted.smiles(held), rows, targets, predictions)
    return write_trust(calibrate(fitted.kinds, fitted.names, domain, kept, fitted.classes))
