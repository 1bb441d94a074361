"""What estimators say of their own predictions: intervals, prediction sets, deviations, the nearest molecule.

Legend: n molecules, T targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.estimators.molecules import Molecules
from moleblend_plugin.inference.estimators.network import NetworkEstimator
from moleblend_plugin.schema import Float64Array

if TYPE_CHECKING:
    from moleblend_plugin.trust.intervals import ResidualKind
    from moleblend_plugin.trust.model import Trust


class NearestTraining(NamedTuple):
    """The nearest training molecule of each of n molecules.

    Attributes:
        similarity: [n], Tanimoto's of ECFP4, 0 to 1; NaN for what is no molecule.
        row: int64 [n], its row in the ``X`` of ``fit``, counted from 0; -1 for what is no molecule.
        smiles: its SMILES, "" for what is no molecule.
        outside_domain: bool [n], whether the molecule is farther from training than 95 % of the training
            molecules are from each other; ``False`` where there are too few to say.
    """

    similarity: Float64Array
    row: npt.NDArray[np.int64]
    smiles: list[str]
    outside_domain: npt.NDArray[np.bool_]


class TrustedEstimator(NetworkEstimator):
    """What regression and classification share."""

    @property
    def trust_(self) -> Trust:
        """Calibration and domain, as ``fit`` left them or the file holds them.

        Raises:
            MoleblendError: the model comes from a file without them.
        """
        self._check_fitted()
        found: Trust | None = self._network().trust
        if found is None:
            raise MoleblendError(
                "the model does not say how far to trust it: it was trained by moleblend-train or saved by "
                "an older version; fit an estimator, which calibrates itself"
            )
        return found

    def predict_std(self, X: Molecules) -> Float64Array:
        """Standard deviation of the networks' predictions [n] or [n, T] (n - 1), or of the probabilities of
        several classes [n, K].

        It says how much the networks disagree, in order of molecules, not how large the error is.

        Raises:
            MoleblendError: the model is a single network.
        """
        self._check_fitted()
        network = self._network()
        if network.n_members == 1:
            raise MoleblendError(
                "predict_std: the model is one network, whose predictions have no deviation: fit it with "
                "ensemble_size=5"
            )
        records, good = self._molecules(X)
        found = np.full((len(good), network.outputs), np.nan)
        if records:
            found[good] = [prediction.sd for prediction in network.predict_members(records)]
        return found if self._two_d or network.outputs > 1 else found[:, 0]

    def nearest_training(self, X: Molecules) -> NearestTraining:
        """The nearest training molecule of each molecule, and whether it is outside of the model's domain."""
        trust = self.trust_
        records, good = self._molecules(X)
        near = trust.nearest([record.smiles for record in records])
        similarity, row = np.full(len(good), np.nan), np.full(len(good), -1)
        similarity[good], row[good] = near.similarity, trust.domain.rows[near.place]
        smiles = np.full(len(good), "", object)
        smiles[good] = [trust.domain.smiles[place] for place in near.place.tolist()]
        return NearestTraining(similarity, row, smiles.tolist(), trust.domain.is_outside(similarity))

    def _with_similarity(self, X: Molecules) -> tuple[Float64Array, Float64Array]:
        """Predictions [n, T] and similarity [n] to the nearest training molecule, NaN for what is none."""
        trust, network = self.trust_, self._network()
        records, good = self._molecules(X)
        values, similarity = np.full((len(good), len(self.target_names_)), np.nan), np.full(len(good), np.nan)
        if records:
            values[good] = list(network.predict_records(records))
            similarity[good] = trust.nearest([record.smiles for record in records]).similarity
        return values, similarity


class IntervalRegressor(TrustedEstimator):
    """Intervals of a regression."""

    def predict_interval(
        self, X: Molecules, level: float = 0.9, residuals: ResidualKind = "normalised"
    ) -> Float64Array:
        """Lower and upper bounds [n, 2] or [n, T, 2], in the labels' unit.

        Of molecules that are drawn like those of training, a share of about ``level`` or more lies inside
        (conformal prediction). Of molecules of another kind, such as new scaffolds, it may be less.

        Args:
            X: the molecules.
            level: the share, between 0 and 1; 0.9 needs 9 molecules that the model was not trained on.
            residuals: "normalised" gives wider intervals to molecules that are far from training, "absolute"
                one width to all.

        Returns:
            NaN for molecules that are none, if asked for; infinite for a target with too few molecules.

        Raises:
            MoleblendError: there are too few, nothing was held out, or ``level`` is out of range.
        """
        trust = self.trust_
        values, similarity = self._with_similarity(X)
        found = trust.intervals(values, similarity, level, residuals)
        return found if self._two_d else found[:, 0]


class SetClassifier(TrustedEstimator):
    """Calibrated probabilities and prediction sets of a classification."""

    def _of_each_class(self, found: Float64Array) -> Float64Array:
        """Probabilities [n, K] of the classes of one target; of several targets as they are."""
        if self._two_d or found.shape[1] > 1:
            return found
        both: Float64Array = np.column_stack((1 - found[:, 0], found[:, 0]))
        return both

    def predict_calibrated_proba(self, X: Molecules) -> Float64Array:
        """As ``predict_proba``, with Platt's scaling (of more than two classes with a temperature) on
        predictions of molecules that were held out.

        Raises:
            MoleblendError: nothing was held out.
        """
        trust = self.trust_
        return self._of_each_class(trust.calibrated(self._raw(X)))

    def predict_set(self, X: Molecules, level: float = 0.9) -> npt.NDArray[np.bool_]:
        """Which classes cannot be excluded: bool [n, K] in the order of ``classes_``, or [n, T, 2].

        Of the molecules of *each* class that are drawn like those of training, a share of about ``level``
        or more has it in its set. A set is never empty: where all are excluded it holds the likeliest one.

        Args:
            X: the molecules.
            level: the share, between 0 and 1. A class with fewer than 9 molecules at 0.9 is in every set.

        Raises:
            MoleblendError: nothing was held out, or ``level`` is out of range.
        """
        trust: Any = self.trust_
        found: npt.NDArray[np.bool_] = trust.sets(self._raw(X), level)
        return found if self._two_d else found[:, 0]
