"""Views of a molecule: which it has, what is random about them, and that drawings are never mirrored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from moleblend_plugin.data.augment import augment, blur, grey, jitter, rotate
from moleblend_plugin.data.views import ViewConfig, derangement, keep
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import VIEW_FIELDS, Modality
from tests.viewed import batch_of, viewed

ATOMS = (5, 9, 3, 7)


def test_a_batch_holds_every_view_field():
    views = batch_of(viewed(ATOMS, blank=[1], flat=[2]))["views"]
    assert set(views) == set(VIEW_FIELDS)
    assert views["image"].shape == (4, 3, 32, 32)
    assert views["image"].dtype == torch.uint8
    assert views["image"][1].min() == 255
    everything = int(Modality.GRAPH | Modality.IMAGE | Modality.GEOMETRY)
    assert views["modalities"].tolist() == [everything, 5, 3, everything]
    assert views["fused"].tolist() == views["modalities"].tolist()  # nothing is dropped in validation


def test_two_views_have_a_shorter_axis():
    batch = batch_of(viewed(ATOMS, config=ViewConfig("3d,2d")))
    assert batch["views"]["cross_from"].shape == (4, 2)
    assert batch["views"]["modalities"].tolist() == [5, 5, 5, 5]


def test_an_item_depends_on_seed_epoch_and_index_alone():
    def item(seed: int, epoch: int) -> np.ndarray:
        molecules = viewed(ATOMS, training=True, seed=seed)
        molecules.set_epoch(epoch)
        return molecules[3]["image"]

    assert np.array_equal(item(1, 2), item(1, 2))
    assert not np.array_equal(item(1, 2), item(1, 3))
    assert not np.array_equal(item(1, 2), item(2, 2))


@pytest.mark.parametrize("present", [(1, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_derangement_takes_every_other_view_once(present):
    there = np.array(present, bool)
    for uniform in np.linspace(0, 0.999, 7):
        source = derangement(there, uniform)
        assert sorted(source[there]) == np.flatnonzero(there).tolist()
        assert (source[there] != np.flatnonzero(there)).all()
        assert (source[~there] == np.flatnonzero(~there)).all()


def test_both_derangements_of_three_are_drawn():
    whole = np.ones(3, bool)
    assert [derangement(whole, uniform).tolist() for uniform in (0.2, 0.7)] == [[2, 0, 1], [1, 2, 0]]


def test_dropping_views_leaves_the_hypergraph_something_to_see():
    present = np.array([True, False, True])
    assert keep(present, np.array([True, False, False])).tolist() == [False, False, True]
    assert keep(present, np.array([True, True, True])).tolist() == [False, False, True]
    assert keep(np.array([True, False, False]), np.array([True, True, True])).tolist() == [True, False, False]


def test_views_are_dropped_at_the_rate_of_the_flag():
    molecules = viewed([4] * 300, config=ViewConfig(modality_dropout=0.3, image_augment="off"), training=True)
    fused = np.array([int(molecules[index]["fused"]) for index in range(300)])
    assert (fused & int(Modality.GRAPH) == 0).mean() == pytest.approx(0.3, abs=0.08)
    assert (fused & int(Modality.IMAGE) == 0).mean() == pytest.approx(0.21, abs=0.08)  # not both others


def letter(size: int = 33) -> torch.Tensor:
    """A dark F on white, which no rotation lays on its mirror image."""
    image = torch.ones(3, size, size)
    image[:, 8:26, 10:13] = image[:, 8:11, 10:22] = image[:, 16:19, 10:19] = 0
    return image


def test_a_quarter_turn_is_exact_and_corners_are_white():
    image = letter()
    torch.testing.assert_close(rotate(image, torch.pi / 2), image.rot90(1, (1, 2)), atol=1e-4, rtol=0)
    filled = rotate(torch.zeros(3, 33, 33), torch.pi / 4)
    assert filled[:, 0, 0].tolist() == [1, 1, 1]


def test_changes_never_mirror():
    """Of all rotations, one matches each changed letter better than any matches its mirror image."""
    image = (letter() * 255).to(torch.uint8).numpy()
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    turned = torch.stack([grey(rotate(letter(), angle)) for angle in angles])
    for seed in range(12):
        changed = grey(torch.from_numpy(augment(image, np.random.default_rng(seed))).float() / 255)
        changed = (changed - changed.mean()) / changed.std()
        straight = ((turned - turned.mean()) * changed).sum((1, 2, 3)).max()
        mirrored = ((turned.flip(3) - turned.mean()) * changed).sum((1, 2, 3)).max()
        assert straight > 1.1 * mirrored


def test_no_change_of_colour_is_the_image_and_blur_keeps_the_mean():
    image = torch.rand(3, 16, 16)
    torch.testing.assert_close(jitter(image, 0, 0, 0, 0), image, atol=1e-5, rtol=0)
    flat = torch.full((3, 16, 16), 0.3)
    torch.testing.assert_close(blur(flat, 2.0), flat)
    assert blur(image, 20.0).std() < 0.5 * image.std()


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
def test_impossible_settings_are_named(settings, told):
    with pytest.raises(MoleblendError, match=told):
        ViewConfig(**settings)
