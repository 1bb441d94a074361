"""Molecules with labels: what is shown, which conformer, what is known about the labels."""

from __future__ import annotations

import numpy as np
import pytest

from moleblend_plugin.data.batches.label_statistics import read_labels
from moleblend_plugin.data.batches.labelled import PropertyMolecules
from moleblend_plugin.data.samples.blend import unblended
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import PAIRS_SHOWN, PROPERTY_FIELDS, InputMode, Shown
from tests.molecules import RecordList, make_record

NAN = float("nan")


def records(conformers: list[int], targets: list[list[float]] | None = None) -> RecordList:
    labels = targets or [[float(i)] for i in range(len(conformers))]
    return RecordList(
        make_record(4 + i, i, conformers=count, targets=labels[i]) for i, count in enumerate(conformers)
    )


@pytest.mark.parametrize(
    ("mode", "pairs", "atoms"),
    [
        ("2d", Shown.SPD | Shown.EDGE, Shown.SPD),
        ("3d", Shown.DISTANCE, Shown.DISTANCE),
        ("both", PAIRS_SHOWN["both"], Shown.SPD | Shown.DISTANCE),
    ],
)
def test_every_pair_and_atom_shows_the_mode(mode: InputMode, pairs: Shown, atoms: Shown) -> None:
    record = make_record(6)
    sample = unblended(featurize(record), mode)
    assert set(sample["pair_shown"].flat) == {pairs}
    assert set(sample["atom_shown"].flat) == {atoms}
    assert record.coords is not None
    clean = record.coords[0] if mode != "2d" else np.zeros((6, 3))
    np.testing.assert_array_equal(sample["coords"], clean)  # no noise


@pytest.mark.parametrize("mode", ["2d", "3d", "both"])
def test_a_molecule_without_3d_shows_2d(mode: InputMode) -> None:
    sample = unblended(featurize(make_record(5, conformers=0)), mode)
    assert set(sample["pair_shown"].flat) == {PAIRS_SHOWN["2d"]}
    assert set(sample["atom_shown"].flat) == {Shown.SPD}


def conformer_of(molecules: PropertyMolecules, index: int) -> int:
    coords = molecules.records[molecules.item_of(index)[0]].coords
    assert coords is not None
    seen = molecules[index]["coords"]
    return next(number for number, conformer in enumerate(coords) if np.array_equal(conformer, seen))


def test_training_draws_one_conformer_per_epoch() -> None:
    molecules = PropertyMolecules(records([5, 1, 5]), [0], "both", seed=3, shuffle=True)
    drawn = []
    for epoch in range(1, 101):
        molecules.set_epoch(epoch)
        drawn.append([conformer_of(molecules, index) for index in range(3)])
        assert drawn[-1] == [conformer_of(molecules, index) for index in range(3)]
    first, middle, last = (set(column) for column in zip(*drawn, strict=True))
    assert first == last == set(range(5))
    assert middle == {0}
    assert [row[0] for row in drawn] != [row[2] for row in drawn]


def test_evaluation_has_one_item_per_conformer() -> None:
    molecules = PropertyMolecules(records([2, 0, 3]), [0], "both", seed=1, conformers="all")
    items = [molecules.item_of(index) for index in range(len(molecules))]
    assert items == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]
    batch = molecules.collate([molecules[index] for index in molecules.order(4)])
    assert batch["index"].tolist() == [0, 0, 1, 2, 2, 2]
    assert batch["target"]["targets"].tolist() == [[0.0], [0.0], [1.0], [2.0], [2.0], [2.0]]
    assert molecules.row_id(5) == "made:2"


def test_labels_are_chosen_by_column_and_follow_the_schema() -> None:
    made = records([1, 1], [[1.0, 2.0, NAN], [4.0, 5.0, 6.0]])
    molecules = PropertyMolecules(made, [2, 0], "2d", seed=1)
    targets = molecules.collate([molecules[0], molecules[1]])["target"]["targets"]
    assert str(targets.dtype) == f"torch.{PROPERTY_FIELDS['targets'].dtype}"
    np.testing.assert_array_equal(targets, [[NAN, 1.0], [6.0, 4.0]])


def test_statistics_equal_numpys_on_the_labels_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "moleblend_plugin.data.batches.label_statistics._CHUNK", 7
    )  # several chunks, the last one short
    rng = np.random.default_rng(0)
    table = rng.normal(1000.0, [1.0, 20.0, 3.0], (50, 3))
    table[rng.random(table.shape) < 0.3] = NAN
    table[:, 2] = NAN
    table[4, 2] = 7.0
    labels = read_labels(records([1] * 50, table.tolist()), [0, 1, 2], "abc", "regression")
    np.testing.assert_array_equal(labels.present, (~np.isnan(table)).sum(0))
    np.testing.assert_allclose(labels.mean, np.nanmean(table, 0), rtol=1e-12)
    np.testing.assert_allclose(labels.std[:2], np.nanstd(table, 0)[:2], rtol=1e-9)
    assert labels.std[2] == 1  # one label: nothing to divide by


def test_classes_and_conformers_are_counted() -> None:
    made = records([2, 0, 1], [[1.0, 0.0], [NAN, 0.0], [0.0, NAN]])
    labels = read_labels(made, [0, 1], ["a", "b"], "classification")
    assert labels.positives.tolist() == [1, 0]
    assert labels.negatives.tolist() == [1, 2]
    assert labels.one_class == ["b"]
    assert labels.conformers.tolist() == [2, 1, 1]
    assert (labels.without_3d, labels.first_without_3d) == (1, "made:1: made without 3D")


def test_a_label_that_is_no_class_is_named() -> None:
    made = records([1, 1], [[1.0], [2.0]])
    with pytest.raises(MoleblendError, match=r"made:1: column 'tox' holds 2, but classes are 0 and 1"):
        read_labels(made, [0], ["tox"], "classification")
    assert read_labels(made, [0], ["tox"], "regression").mean == 1.5


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_an_infinite_label_is_named(kind: str) -> None:
    with pytest.raises(MoleblendError, match=r"made:0: column 'y' holds inf, which is not a label"):
        read_labels(records([1], [[float("inf")]]), [0], ["y"], kind)  # type: ignore[arg-type]
    # As older builds stored it: a number in float64 that is infinite where networks compute.
    with pytest.raises(MoleblendError, match=r"made:0: column 'y' holds -1e\+39, which is not a label.*t32"):
        read_labels(records([1], [[-1e39]]), [0], ["y"], kind)  # type: ignore[arg-type]
