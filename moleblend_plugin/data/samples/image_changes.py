"""What is changed about a drawing in training: drawn here, carried out by ``structure.image_augmentation``.

As in CGIP (docs/structure_aware.md, "Views"), without its mirror image: that is another molecule.
"""

from __future__ import annotations

import numpy as np

from moleblend_plugin.schema import IMAGE_CHANGES, Float32Array

_MOST = np.array((0.4, 0.4, 0.4, 0.1))
"""Of brightness, contrast, saturation and hue, either way."""


def draw_changes(draw: np.random.Generator, largest_turn: float) -> Float32Array:
    """Float32 [6] in the order of ``schema.IMAGE_CHANGES``.

    Args:
        draw: all that is random comes from it.
        largest_turn: either way, in radians.
    """
    changes = np.zeros(len(IMAGE_CHANGES), np.float32)
    if draw.random() < 0.8:
        changes[:4] = draw.uniform(-1, 1, 4) * _MOST
    if draw.random() < 0.2:
        changes[2] = -1  # grey
    changes[4] = draw.uniform(-largest_turn, largest_turn)
    if draw.random() < 0.5:
        changes[5] = draw.uniform(0.1, 2.0)
    return changes
