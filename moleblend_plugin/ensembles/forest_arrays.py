"""A fitted random forest as a few arrays: saved without pickle, and read by NumPy alone.

A pickled forest runs what its file holds, and ``skops`` must be told which types to trust and keeps every
node in 64 bytes. A forest is five arrays, which ``numpy.load(allow_pickle=False)`` reads. They predict what
scikit-learn's forest predicts, to the last bit: thresholds are compared with float32 features, so a threshold
rounded down to float32 decides alike, and values of leaves stay float64, each kept once.

Legend: M molecules, F features, S trees, Q nodes of all trees, L leaves of all trees, C classes.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, fields
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float32Array, Float64Array

LEAF: Final = np.iinfo(np.uint16).max
"""In place of a feature's number: the node is a leaf."""

_ROWS: Final = 512
"""Molecules that walk down all trees together; memory grows with rows x trees."""


@dataclass(frozen=True)
class ForestArrays:
    """A forest for one task. The nodes of a tree are in depth-first order: the left child is the next node.

    Attributes:
        features: number of features F that it was fitted on.
        medians: float32 [F], what takes the place of a missing feature; [0] where none may be missing.
        sizes: int32 [S], nodes of each tree.
        feature: uint16 [Q], which feature a node looks at; ``LEAF`` for leaves.
        right: int32 [Q - L], of each inner node, how many nodes further its right child is.
        threshold: float32 [Q - L]; a molecule goes left where its feature is at most this.
        values: float64, every value that a leaf has, once; of one of C classes a row of them.
        value: int32 [L], number of each leaf's value among them.
    """

    features: int
    medians: Float32Array
    sizes: npt.NDArray[np.int32]
    feature: npt.NDArray[np.uint16]
    right: npt.NDArray[np.int32]
    threshold: Float32Array
    values: Float64Array
    value: npt.NDArray[np.int32]

    @classmethod
    def of(cls, model: Any, classes: int = 0) -> ForestArrays:  # noqa: ANN401  scikit-learn has no types
        """The arrays of a fitted ``RandomForestClassifier``, a ``RandomForestRegressor``, or a pipeline of
        ``SimpleImputer`` and one of them.

        Args:
            model: it.
            classes: C, where its classes are some of 0 to C - 1; 0 for two classes, or values.

        Raises:
            MoleblendError: a forest of another kind.
        """
        medians = np.empty(0, np.float32)
        if hasattr(model, "steps"):
            medians = np.asarray(model.steps[0][1].statistics_, np.float64).astype(np.float32)
            model = model.steps[-1][1]
        known = getattr(model, "classes_", (0, 1))
        if model.n_outputs_ != 1 or (not classes and len(known) != 2) or model.n_features_in_ >= LEAF:
            raise MoleblendError(
                "only forests of one target, with two classes if any, and fewer than 65,535 features are kept"
            )
        trees = [member.tree_ for member in model.estimators_]
        left = np.concatenate([tree.children_left for tree in trees])
        right = np.concatenate([tree.children_right for tree in trees])
        place = np.concatenate([np.arange(tree.node_count) for tree in trees])
        inner = left >= 0
        if not np.array_equal(left[inner], place[inner] + 1):
            raise MoleblendError(
                "the trees are not in depth-first order (max_leaf_nodes): leave that parameter out"
            )
        leaves = np.concatenate([tree.value[:, 0] for tree in trees])[~inner]
        if classes:
            every = np.zeros((len(leaves), classes))
            every[:, np.asarray(known, np.int64)] = leaves
            values, value = np.unique(every, axis=0, return_inverse=True)
        else:  # of two classes one probability says both
            values, value = np.unique(leaves[:, -1], return_inverse=True)
        feature = np.concatenate([tree.feature for tree in trees])
        threshold = np.concatenate([tree.threshold for tree in trees])[inner]
        return cls(
            int(model.n_features_in_),
            medians,
            np.array([tree.node_count for tree in trees], np.int32),
            np.where(inner, feature, LEAF).astype(np.uint16),
            (right - place)[inner].astype(np.int32),
            _rounded_down(threshold),
            values,
            value.reshape(-1).astype(np.int32),
        )

    def predict(self, features: npt.NDArray[Any]) -> Float64Array:
        """Values, or probabilities of the second class: [M] for features [M, F]; of one of C classes [M, C].

        Raises:
            MoleblendError: another number of features.
        """
        if features.ndim != 2 or features.shape[1] != self.features:
            raise MoleblendError(
                f"the forest takes {self.features} features, not an array of {features.shape}"
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, as in scikit-learn's cast
            rows = np.asarray(features, np.float32)
        if len(self.medians):
            rows = np.where(np.isnan(rows), self.medians, rows)
        nodes = _Nodes.of(self)
        parts = [nodes.predict(rows[start : start + _ROWS]) for start in range(0, len(rows), _ROWS)]
        return np.concatenate(parts) if parts else np.empty((0, *self.values.shape[1:]))


@dataclass(frozen=True)
class _Nodes:
    """The same with a place for every node: what a walk needs.

    Attributes:
        roots: int64 [S].
        feature: int64 [Q]; of leaves 0, so that they can be looked at.
        threshold: float32 [Q]; NaN for leaves, which sends everything right.
        right: int64 [Q], node that is next to the right; a leaf's is itself.
        value: float64 [Q] or [Q, C], of leaves.
    """

    roots: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: Float32Array
    right: npt.NDArray[np.int64]
    value: Float64Array

    @classmethod
    def of(cls, forest: ForestArrays) -> _Nodes:
        inner = forest.feature != LEAF
        nodes = len(inner)
        threshold, right = np.full(nodes, np.nan, np.float32), np.arange(nodes)
        value = np.zeros((nodes, *forest.values.shape[1:]))
        threshold[inner] = forest.threshold
        right[inner] += forest.right
        value[~inner] = forest.values[forest.value]
        roots = np.append(0, np.cumsum(forest.sizes, dtype=np.int64)[:-1])
        return cls(roots, np.where(inner, forest.feature, 0).astype(np.int64), threshold, right, value)

    def predict(self, rows: Float32Array) -> Float64Array:
        """Mean over trees [M] or [M, C], added up in their order, as scikit-learn does in one thread."""
        node = np.tile(self.roots, (len(rows), 1))  # [M, S]
        number = np.arange(len(rows))[:, None]
        while True:
            goes_left = rows[number, self.feature[node]] <= self.threshold[node]
            moved = np.where(goes_left, node + 1, self.right[node])
            if np.array_equal(moved, node):
                break
            node = moved
        total = np.zeros((len(rows), *self.value.shape[1:]))
        for column in node.T:
            total += self.value[column]
        return total / len(self.roots)


def pack(forests: list[ForestArrays]) -> bytes:
    """Forests as the bytes of a compressed ``.npz``."""
    packed = io.BytesIO()
    arrays = {
        f"{number}_{item.name}": np.asarray(getattr(forest, item.name))
        for number, forest in enumerate(forests)
        for item in fields(ForestArrays)
    }
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


def unpack(packed: bytes, count: int) -> list[ForestArrays]:
    """Forests from :func:`pack`'s bytes; nothing in them is run.

    Raises:
        MoleblendError: they are damaged, or no forests.
    """
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            forests = [
                ForestArrays(
                    int(archive[f"{number}_features"]),
                    *(archive[f"{number}_{item.name}"] for item in fields(ForestArrays)[1:]),
                )
                for number in range(count)
            ]
    except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise MoleblendError(f"a saved forest is damaged ({error}): use another file") from error
    for forest in forests:
        _check(forest)
    return forests


def _check(forest: ForestArrays) -> None:
    """Refuse arrays that are no forest: a walk must end at a leaf of its own tree.

    Raises:
        MoleblendError: they are none.
    """
    kinds = {
        "medians": "f4",
        "sizes": "i4",
        "feature": "u2",
        "right": "i4",
        "threshold": "f4",
        "values": "f8",
    }
    sound = all(
        getattr(forest, name).dtype == np.dtype(kind)
        and (getattr(forest, name).ndim == 1 or (name == "values" and forest.values.ndim == 2))
        for name, kind in (kinds | {"value": "i4"}).items()
    )
    if sound:
        inner = forest.feature != LEAF
        ends = np.repeat(np.cumsum(forest.sizes, dtype=np.int64), np.maximum(forest.sizes, 0))
        places = np.flatnonzero(inner)
        sound = (
            len(forest.sizes) > 0
            and forest.sizes.min() > 0
            and len(ends) == len(inner)
            and len(places) == len(forest.right) == len(forest.threshold)
            and len(forest.value) == (~inner).sum()
            and len(forest.medians) in (0, forest.features)
            and bool(((forest.right > 1) & (places + forest.right < ends[places])).all())
            and bool((forest.feature[inner] < forest.features).all())
            and bool(((forest.value >= 0) & (forest.value < len(forest.values))).all())
        )
    if not sound:
        raise MoleblendError("a saved forest holds no sound trees: use another file")


def _rounded_down(thresholds: Float64Array) -> Float32Array:
    """The largest float32 that is not above each: ``x <= t`` is then the same for every float32 ``x``."""
    near = thresholds.astype(np.float32)
    return np.where(near.astype(np.float64) > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
