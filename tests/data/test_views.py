"""Views of a molecule: which it has, and what is random about them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from moleblend_plugin.data.samples.image_changes import draw_changes
from moleblend_plugin.data.samples.views import ViewConfig, derangement, kept_views
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import IMAGE_CHANGES, VIEW_FIELDS, Modality
from tests.viewed import batch_of, viewed

ATOMS = (5, 9, 3, 7)


def test_a_batch_holds_every_view_field() -> None:
    views = batch_of(viewed(ATOMS, blank=[1], flat=[2]))["views"]
    assert set(views) == set(VIEW_FIELDS)
    assert views["image"].shape == (4, 3, 32, 32)
    assert views["image"].dtype == torch.uint8
    assert views["image"][1].min() == 255
    everything = int(Modality.GRAPH | Modality.IMAGE | Modality.GEOMETRY)
    assert views["modalities"].tolist() == [everything, 5, 3, everything]
    assert views["fused"].tolist() == views["modalities"].tolist()  # nothing is dropped in validation


def test_two_views_have_a_shorter_axis() -> None:
    batch = batch_of(viewed(ATOMS, config=ViewConfig("3d,2d")))
    assert batch["views"]["cross_from"].shape == (4, 2)
    assert batch["views"]["modalities"].tolist() == [5, 5, 5, 5]


def test_an_item_depends_on_seed_epoch_and_index_alone() -> None:
    def item(seed: int, epoch: int) -> np.ndarray:
        molecules = viewed(ATOMS, training=True, seed=seed)
        molecules.set_epoch(epoch)
        return molecules[3]["image_change"]

    assert np.array_equal(item(1, 2), item(1, 2))
    assert not np.array_equal(item(1, 2), item(1, 3))
    assert not np.array_equal(item(1, 2), item(2, 2))


@pytest.mark.parametrize("present", [(1, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_derangement_takes_every_other_view_once(present: tuple[int, int, int]) -> None:
    there = np.array(present, bool)
    for uniform in np.linspace(0, 0.999, 7):
        source = derangement(there, uniform)
        assert sorted(source[there]) == np.flatnonzero(there).tolist()
        assert (source[there] != np.flatnonzero(there)).all()
        assert (source[~there] == np.flatnonzero(~there)).all()


def test_both_derangements_of_three_are_drawn() -> None:
    whole = np.ones(3, bool)
    assert [derangement(whole, uniform).tolist() for uniform in (0.2, 0.7)] == [[2, 0, 1], [1, 2, 0]]


def test_dropping_views_leaves_the_hypergraph_something_to_see() -> None:
    present = np.array([True, False, True])
    assert kept_views(present, np.array([True, False, False])).tolist() == [False, False, True]
    assert kept_views(present, np.array([True, True, True])).tolist() == [False, False, True]
    assert kept_views(np.array([True, False, False]), np.array([True, True, True])).tolist() == [
        True,
        False,
        False,
    ]


def test_views_are_dropped_at_the_rate_of_the_flag() -> None:
    molecules = viewed([4] * 300, config=ViewConfig(modality_dropout=0.3, image_augment="off"), training=True)
    fused = np.array([int(molecules[index]["fused"]) for index in range(300)])
    assert (fused & int(Modality.GRAPH) == 0).mean() == pytest.approx(0.3, abs=0.08)
    assert (fused & int(Modality.IMAGE) == 0).mean() == pytest.approx(0.21, abs=0.08)  # not both others


def test_drawings_are_changed_in_training_only_and_where_there_is_one() -> None:
    for training, augment, changes in [(True, "on", True), (False, "on", False), (True, "off", False)]:
        config = ViewConfig(image_augment=augment)
        molecules = viewed(ATOMS, blank=[1], config=config, training=training)
        changed = batch_of(molecules)["views"]["image_change"].ne(0).any(1)
        assert changed.tolist() == [changes, False, changes, changes]


def test_changes_are_drawn_at_their_rates_and_within_their_limits() -> None:
    draws = np.stack([draw_changes(np.random.default_rng(seed), 0.5) for seed in range(2000)])
    brightness, contrast, saturation, hue, turn, blur = draws.T
    assert draws.shape[1] == len(IMAGE_CHANGES)
    assert (brightness != 0).mean() == pytest.approx(0.8, abs=0.03)
    assert (saturation == -1).mean() == pytest.approx(0.2, abs=0.03)
    assert (blur != 0).mean() == pytest.approx(0.5, abs=0.03)
    limits = [(brightness, 0.4), (contrast, 0.4), (saturation[saturation > -1], 0.4), (hue, 0.1), (turn, 0.5)]
    for values, most in limits:
        assert 0.95 * most < np.abs(values).max() <= most
    assert blur.max() <= 2.0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"views": "image,3d"}, "--views image,3d: give 2d and one or both"),
        ({"views": "2d"}, "--views 2d: give 2d and one or both"),
        ({"views": "2d,4d"}, "--views 2d,4d: give 2d and one or both"),
        ({"views": "2d,3d,3d"}, "--views 2d,3d,3d"),
        ({"image_rotation": 200.0}, "--image-rotation 200: give 0 to 180 degrees"),
        ({"modality_dropout": 1.0}, "--modality-dropout 1: give 0 <= p < 1"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, float | str], told: str) -> None:
    with pytest.raises(MoleblendError, match=told):
        ViewConfig(**settings)
