"""A stack: the mean of the networks and forests on descriptors and fingerprints, combined by fitted weights.

Legend: M molecules, T tasks, K base models: the networks' mean first, then the forests, F features. Of one of
C classes there is one task, and predictions are [M, C].
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.baselines.features import joined, molecule_features
from moleblend_plugin.baselines.kinds import BASELINES
from moleblend_plugin.baselines.task_models import TaskModels
from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.chem.identity.featurizers import PROBE_SMILES
from moleblend_plugin.data.head_inputs import lacks_extra
from moleblend_plugin.ensembles.forest_arrays import ForestArrays, pack, unpack
from moleblend_plugin.ensembles.weights import weighted_mean
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float64Array, MoleculeRecord

NETWORK: Final = "network"
"""The first base model: the mean of the members."""

DESCRIPTORS: Final = "descriptors"
"""Features with names, whose order and values may differ between versions of RDKit."""

EXTRA: Final = "extra-descriptors"
"""Columns of a table that stand beside the molecules: features of every kind of forest."""

Blocks = Mapping[str, npt.NDArray[Any]]
"""By name (``baselines.features.FEATURES``), features [M, F] of one kind."""


@dataclass(frozen=True)
class TaskForests:
    """One forest per task, as arrays.

    Attributes:
        forests: of the T tasks; ``None`` where training had one class or no label.
        constants: [T], what such a task is predicted as; of one of C classes [C].
    """

    forests: tuple[ForestArrays | None, ...]
    constants: Float64Array

    @classmethod
    def of(cls, models: TaskModels) -> TaskForests:
        """The arrays of fitted forests."""
        classes = models.classes
        return cls(
            tuple(None if model is None else ForestArrays.of(model, classes) for model in models.models),
            models.constants,
        )

    def predict(self, features: npt.NDArray[Any]) -> Float64Array:
        """Values, or probabilities of class 1: [M, T] for features [M, F]; [M, C] of one of C classes."""
        predictions = np.tile(self.constants, (len(features), 1))
        if len(self.forests) == 1 and len(self.constants) > 1:
            (several,) = self.forests
            return predictions if several is None else several.predict(features)
        for task, forest in enumerate(self.forests):
            if forest is not None:
                predictions[:, task] = forest.predict(features)
        return predictions


@dataclass(frozen=True)
class Stack:
    """Fitted forests and the weights of all base models.

    Attributes:
        forests: by kind of baseline, in the order of the weights.
        weights: [K, T], not negative, with sum 1 over the base models of a task; the C classes of one share
            theirs.
        columns: names of the descriptors that the forests were fitted on.
        toolkit: RDKit's version then.
        probe: fingerprints of the features of ``PROBE_SMILES`` then, and the descriptors themselves.
        extra_descriptors: columns of a table that all forests see too, X.
    """

    forests: Mapping[str, TaskForests]
    weights: Float64Array
    columns: tuple[str, ...]
    toolkit: str
    probe: Mapping[str, Any]
    extra_descriptors: tuple[str, ...] = ()

    @property
    def base_models(self) -> tuple[str, ...]:
        """Names of the K base models."""
        return (NETWORK, *self.forests)

    def combine(
        self, network: Float64Array, smiles: Sequence[str], extra: Float64Array | None = None
    ) -> Float64Array:
        """Predictions [M, T] from the networks' mean [M, T], the molecules as SMILES, and columns [M, X]."""
        return self.combine_features(network, self.blocks(smiles, extra))

    def combine_features(self, network: Float64Array, blocks: Blocks) -> Float64Array:
        """The same from features that are there already."""
        each = [forest.predict(features_of(kind, blocks)) for kind, forest in self.forests.items()]
        return weighted_mean([network, *each], self.weights)

    def blocks(self, smiles: Sequence[str], extra: Float64Array | None = None) -> Blocks:
        """Features of molecules, descriptors in the order that the forests know, and columns [M, X].

        Raises:
            MoleblendError: RDKit does not have all of these descriptors any more.
        """
        blocks, names = feature_blocks(tuple(self.forests), smiles)
        if extra is not None:
            blocks = {**blocks, EXTRA: extra}
        if names == self.columns:
            return blocks
        place = {name: number for number, name in enumerate(names)}
        gone = [name for name in self.columns if name not in place]
        if gone:
            raise MoleblendError(f"{TOOLKIT} has no descriptor {gone[0]}: the forests need {self.toolkit}")
        return {**blocks, DESCRIPTORS: blocks[DESCRIPTORS][:, [place[name] for name in self.columns]]}

    def to_file(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Plain values, and by kind the forests as bytes, for ``inference.ensemble_file.write_ensemble``."""
        plain: dict[str, Any] = {
            "weights": self.weights.tolist(),
            "columns": list(self.columns),
            "toolkit": self.toolkit,
            "probe": dict(self.probe),
            "constants": {kind: found.constants.tolist() for kind, found in self.forests.items()},
            "fitted": {
                kind: [forest is not None for forest in found.forests] for kind, found in self.forests.items()
            },
        }
        if self.extra_descriptors:
            plain["extra_descriptors"] = list(self.extra_descriptors)
        packed = {
            kind: pack([forest for forest in found.forests if forest is not None])
            for kind, found in self.forests.items()
        }
        return plain, packed

    @classmethod
    def read(cls, plain: Mapping[str, Any], packed: Mapping[str, bytes]) -> Stack:
        """From what :meth:`to_file` gave.

        Raises:
            MoleblendError: something is missing or does not fit, or this RDKit computes other features.
        """
        try:
            forests = {}
            for kind, fitted in plain["fitted"].items():
                if kind not in BASELINES:
                    raise MoleblendError(f"forests of kind {kind!r} are not known here: update the package")
                rest = iter(unpack(packed[kind], sum(fitted)))
                each = tuple(next(rest) if there else None for there in fitted)
                forests[kind] = TaskForests(each, _constants(plain["constants"][kind], each))
            tasks = len(next(iter(forests.values())).forests)
            weights = np.asarray(plain["weights"], np.float64).reshape(1 + len(forests), tasks)
            extra = tuple(map(str, plain.get("extra_descriptors", ())))
            found = cls(forests, weights, tuple(plain["columns"]), plain["toolkit"], plain["probe"], extra)
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise MoleblendError("its description is not sound: save the model again") from error
        found.check_toolkit()
        return found

    def check_toolkit(self) -> None:
        """Refuse another RDKit if it computes other features.

        Raises:
            MoleblendError: it does; the descriptors that differ most are named.
        """
        if self.toolkit == TOOLKIT:
            return
        now, then = probe_of(tuple(self.forests), self.columns), self.probe
        differing = [name for name in then if name != DESCRIPTORS and then[name] != now.get(name)]
        if DESCRIPTORS in then:
            before, after = np.array(then[DESCRIPTORS], np.float64), np.array(now[DESCRIPTORS], np.float64)
            near = np.asarray(np.isclose(before, after, rtol=1e-4, atol=1e-6, equal_nan=True))
            same = [bool(column.all()) for column in near.T]
            differing += [name for name, equal in zip(self.columns, same, strict=True) if not equal]
        if differing:
            more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
            raise MoleblendError(
                f"{', '.join(differing[:3])}{more} of {TOOLKIT} differ from those of {self.toolkit}, on "
                f"which its forests were fitted: install {self.toolkit}, or fit the model again"
            )


def features_of(kind: str, blocks: Blocks) -> npt.NDArray[Any]:
    """Features [M, F] of a kind of baseline, and behind them columns of a table where there are any."""
    more = (EXTRA,) if EXTRA in blocks else ()
    return joined([blocks[name] for name in (*BASELINES[kind].features, *more)])


def _constants(given: Any, forests: Sequence[ForestArrays | None]) -> Float64Array:  # noqa: ANN401
    """[T], or [C] where the one task is one of C classes.

    Raises:
        ValueError: they do not fit the forests.
    """
    wide = [forest.values.shape[1] for forest in forests if forest is not None and forest.values.ndim == 2]
    several = len(forests) == 1 and (bool(wide) or (forests[0] is None and np.size(given) > 1))
    if wide and (not several or np.size(given) != wide[0]):
        raise ValueError("forests of several classes")
    return np.asarray(given, np.float64).reshape(np.size(given) if several else len(forests))


def extra_of(records: Sequence[MoleculeRecord], names: tuple[str, ...]) -> Float64Array | None:
    """The columns ``names`` [M, X] of records; ``None`` where there are none.

    Raises:
        MoleblendError: a record lacks them.
    """
    if not names:
        return None
    rows = []
    for record in records:
        if record.extra_descriptors is None or len(record.extra_descriptors) != len(names):
            raise lacks_extra(record, names)
        rows.append(record.extra_descriptors)
    return np.array(rows, np.float64)


def feature_blocks(kinds: Sequence[str], smiles: Sequence[str]) -> tuple[Blocks, tuple[str, ...]]:
    """All features that some kinds of baselines need, each computed once, and names of the descriptors."""
    names = dict.fromkeys(name for kind in kinds for name in BASELINES[kind].features)
    rows = {name: molecule_features((name,), smiles) for name in names}
    columns = rows[DESCRIPTORS].names if DESCRIPTORS in rows else ()
    return {name: found.values for name, found in rows.items()}, columns


def probe_of(kinds: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
    """What :attr:`Stack.probe` holds, computed now; a descriptor that is not there is NaN."""
    blocks, names = feature_blocks(kinds, PROBE_SMILES)
    found: dict[str, Any] = {}
    for name, values in blocks.items():
        if name == DESCRIPTORS:
            place = {column: number for number, column in enumerate(names)}
            found[name] = [
                [float(row[place[column]]) if column in place else None for column in columns]
                for row in values
            ]
        else:
            found[name] = hashlib.sha256(np.ascontiguousarray(values, "<i8").tobytes()).hexdigest()
    return found
