"""Folds of cross-validation: which molecules each member of an ensemble does not see.

Legend: n molecules, T targets, k folds.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from moleblend_plugin.schema import Float64Array, LabelKind

FoldKind = Literal["random", "scaffold"]


_OF_CLASSES: Final = ("classification", "multiclass")


def assign_folds(
    targets: Float64Array, kind: LabelKind, k: int, seed: int, scaffolds: Sequence[str] | None = None
) -> npt.NDArray[np.int64]:
    """Fold of every molecule, int64 [n], the same for the same seed.

    One column of classes, two or several, is stratified: the folds hold each class in proportion. Without
    scaffolds, sizes of folds differ by one at most. With scaffolds, molecules of one scaffold fall into one
    fold; molecules without a ring have none to share and count one by one.

    Args:
        targets: [n, T], NaN where a label is missing.
        kind: "classification", "multiclass", "regression" or "mixed".
        k: number of folds, 2 or more.
        seed: of the order in which molecules are dealt out.
        scaffolds: scaffold of every molecule, "" without a ring; ``None`` for folds at random.

    Raises:
        ValueError: fewer molecules or scaffolds than folds, or of two classes one with a single molecule.
    """
    n, random = len(targets), np.random.default_rng(seed)
    if n < k:
        raise ValueError(
            f"n_samples={n} cannot be shared out among {k} folds: give more molecules or fewer folds"
        )
    strata = _strata(targets) if kind in _OF_CLASSES and targets.shape[1] == 1 else None
    if scaffolds is None:
        order = random.permutation(n)
        if strata is not None:
            order = order[np.argsort(strata[order], kind="stable")]
        folds = np.empty(n, np.int64)
        folds[order] = np.arange(n) % k
        return folds
    groups = _groups(scaffolds, random)
    if len(set(groups.tolist())) < k:
        raise ValueError(
            f"{len(set(groups.tolist()))} scaffolds cannot be shared out among {k} folds: "
            "use random folds, or fewer of them"
        )
    return _grouped(groups, strata, k, seed)


def keep_together(folds: npt.NDArray[np.int64], groups: Sequence[str]) -> npt.NDArray[np.int64]:
    """``folds`` in which rows of one group are in the fold of its first row: those of one molecule.

    A molecule in two folds would be predicted by a member that was trained on it.

    Args:
        folds: int64 [n].
        groups: [n], equal for rows that stay together.

    Raises:
        ValueError: a fold would be left empty.
    """
    first: dict[str, int] = {}
    kept = folds[[first.setdefault(group, row) for row, group in enumerate(groups)]]
    if len(set(kept.tolist())) < len(set(folds.tolist())):
        raise ValueError(
            f"{len(first)} different molecules cannot be shared out among {len(set(folds.tolist()))} folds: "
            "give more molecules or fewer folds"
        )
    return kept


def _strata(targets: Float64Array) -> npt.NDArray[np.int64]:
    """Class of every molecule, -1 where it is missing."""
    strata: npt.NDArray[np.int64] = np.where(np.isnan(targets[:, 0]), -1, targets[:, 0]).astype(np.int64)
    classes, counts = np.unique(strata[strata >= 0], return_counts=True)
    if len(counts) <= 2 and len(counts) and counts.min() < 2:
        raise ValueError(
            f"one molecule alone is of class {classes[counts.argmin()]}, so the member that does not see it "
            "knows one class only: give more molecules of that class, or train a single network"
        )
    return strata


def _groups(scaffolds: Sequence[str], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Number of every molecule's scaffold, drawn, for ties between scaffolds of one size fall by number."""
    own = [scaffold or f"without a ring {row}" for row, scaffold in enumerate(scaffolds)]
    names, number = np.unique(own, return_inverse=True)
    drawn: npt.NDArray[np.int64] = random.permutation(len(names))[number]
    return drawn


def _grouped(
    groups: npt.NDArray[np.int64], strata: npt.NDArray[np.int64] | None, k: int, seed: int
) -> npt.NDArray[np.int64]:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    splitter: Any = (
        GroupKFold(k) if strata is None else StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    )
    folds = np.empty(len(groups), np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # folds without a class are fine
        for number, (_, held) in enumerate(splitter.split(np.zeros(len(groups)), strata, groups)):
            folds[held] = number
    return folds
