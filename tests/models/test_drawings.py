"""Changes of drawings: exact where they can be, never a mirror image, and each drawing by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from moleblend_plugin.data.samples.image_changes import draw_changes
from moleblend_plugin.models.structure.image_augmentation import (
    blur,
    change_drawings,
    colours,
    grey,
    jitter,
    rotate,
)
from moleblend_plugin.schema import IMAGE_CHANGES


def letter(size: int = 33) -> Tensor:
    """A dark F on white [1, 3, S, S], which no rotation lays on its mirror image."""
    image = torch.ones(1, 3, size, size)
    image[..., 8:26, 10:13] = image[..., 8:11, 10:22] = image[..., 16:19, 10:19] = 0
    return image


def drawn(rows: int, turn: float = 3.0) -> Tensor:
    return torch.from_numpy(np.stack([draw_changes(np.random.default_rng(row), turn) for row in range(rows)]))


def test_a_quarter_turn_is_exact_and_corners_are_white() -> None:
    image = letter()
    torch.testing.assert_close(
        rotate(image, torch.tensor([torch.pi / 2])), image.rot90(1, (2, 3)), atol=1e-4, rtol=0
    )
    filled = rotate(torch.zeros(1, 3, 33, 33), torch.tensor([torch.pi / 4]))
    assert filled[0, :, 0, 0].tolist() == [1, 1, 1]


def test_changes_never_mirror() -> None:
    """Of all rotations, one matches each changed letter better than any matches its mirror image."""
    angles = torch.linspace(0, 2 * torch.pi, 91)[:-1]
    turned = grey(rotate(letter().expand(90, -1, -1, -1), angles))
    images = (letter() * 255).to(torch.uint8).expand(12, -1, -1, -1)
    for changed in grey(change_drawings(images, drawn(12))):
        changed = (changed - changed.mean()) / changed.std()
        straight = ((turned - turned.mean()) * changed).sum((1, 2, 3)).max()
        mirrored = ((turned.flip(3) - turned.mean()) * changed).sum((1, 2, 3)).max()
        assert straight > 1.1 * mirrored


def test_rows_of_zeros_change_nothing() -> None:
    image = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    same = change_drawings(image, torch.zeros(3, len(IMAGE_CHANGES)))
    torch.testing.assert_close(same, colours(image), atol=1e-4, rtol=0)


def test_blur_keeps_a_flat_drawing_and_smooths_another() -> None:
    flat = torch.full((1, 3, 16, 16), 0.3)
    torch.testing.assert_close(blur(flat, torch.tensor([2.0])), flat)
    image = torch.rand(1, 3, 16, 16)
    assert blur(image, torch.tensor([20.0])).std() < 0.5 * image.std()


def test_saturation_of_minus_one_is_grey_and_a_whole_turn_of_hue_is_none() -> None:
    image, none = torch.rand(2, 3, 8, 8), torch.zeros(2)
    dull = jitter(image, none, none, none - 1, none)
    torch.testing.assert_close(dull, grey(image).expand(-1, 3, -1, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(jitter(image, none, none, none, none + 1), image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_a_drawing_does_not_depend_on_its_company(rows: int) -> None:
    image = torch.randint(0, 256, (5, 3, 20, 20), dtype=torch.uint8)
    changes = drawn(5)
    together = change_drawings(image, changes)
    torch.testing.assert_close(change_drawings(image[:rows], changes[:rows]), together[:rows])
    assert together.min() >= 0
    assert together.max() <= 1 + 1e-6
