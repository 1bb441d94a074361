"""Every molecule is in one fold; classes in proportion, scaffolds together."""

from __future__ import annotations

import numpy as np
import pytest

from moleblend_plugin.ensembles.folds import assign_folds, keep_together

NAN = float("nan")


def test_every_molecule_is_in_one_fold_and_sizes_differ_by_one() -> None:
    folds = assign_folds(np.arange(23.0)[:, None], "regression", 5, seed=0)
    assert sorted(np.bincount(folds).tolist()) == [4, 4, 5, 5, 5]


def test_folds_follow_from_the_seed() -> None:
    targets = np.arange(30.0)[:, None]
    first, again, other = (assign_folds(targets, "regression", 3, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_classes_of_one_column_are_in_proportion() -> None:
    targets = np.array([1.0] * 10 + [0.0] * 35 + [NAN] * 5)[:, None]
    folds = assign_folds(targets, "classification", 5, seed=3)
    for fold in range(5):
        held = targets[folds == fold, 0]
        assert ((held == 1).sum(), (held == 0).sum(), np.isnan(held).sum()) == (2, 7, 1)


def test_several_columns_are_not_stratified_but_shared_out() -> None:
    targets = np.array([[1.0, NAN], [NAN, 0.0]] * 6)
    assert np.bincount(assign_folds(targets, "classification", 4, seed=0)).tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_molecules_of_one_scaffold_stay_together(kind: str) -> None:
    scaffolds = ["c1ccccc1"] * 9 + ["C1CCCCC1"] * 6 + ["c1ccncc1", "c1ccoc1"] * 3 + [""] * 9
    targets = (np.arange(len(scaffolds)) % 2.0)[:, None]
    folds = assign_folds(targets, kind, 3, 0, scaffolds)  # type: ignore[arg-type]
    for scaffold in set(scaffolds) - {""}:
        assert len({fold for fold, own in zip(folds, scaffolds, strict=True) if own == scaffold}) == 1
    assert set(folds.tolist()) == {0, 1, 2}
    without_ring = [fold for fold, own in zip(folds, scaffolds, strict=True) if not own]
    assert len(set(without_ring)) == 3, "they have no scaffold to share"


@pytest.mark.parametrize(
    ("targets", "k", "scaffolds", "words"),
    [
        ([0.0, 1.0], 3, None, "n_samples=2 cannot be shared out among 3 folds"),
        ([0.0, 0.0, 0.0, 1.0], 2, None, "one molecule alone is of class 1"),
        ([0.0, 1.0, 0.0, 1.0], 3, ["a", "a", "b", "b"], "2 scaffolds cannot be shared out among 3 folds"),
    ],
)
def test_what_cannot_be_shared_out(
    targets: list[float], k: int, scaffolds: list[str] | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        assign_folds(np.array(targets)[:, None], "classification", k, 0, scaffolds)


def test_rows_of_one_molecule_are_in_the_fold_of_the_first() -> None:
    folds = np.array([0, 1, 2, 0, 1, 2])
    assert keep_together(folds, ["a", "b", "c", "b", "a", "d"]).tolist() == [0, 1, 2, 1, 0, 2]
    with pytest.raises(ValueError, match="2 different molecules cannot be shared out among 3 folds"):
        keep_together(np.array([0, 1, 2]), ["a", "b", "a"])
