"""Views of a molecule for MMSA-style (reconstructed) pretraining: which it has, and its drawing.

Everything random about them is drawn here, from generators that are arguments. V views, S pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from moleblend_plugin.data.rng import Purpose, generator
from moleblend_plugin.data.samples.image_changes import draw_changes
from moleblend_plugin.errors import MoleblendError, check_rates
from moleblend_plugin.schema import (
    IMAGE_CHANGES,
    VIEW_FIELDS,
    VIEWS,
    Array,
    Float32Array,
    Modality,
    MoleculeRecord,
    UInt8Array,
    ViewFields,
)


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """Which views of a molecule are used, and what is random about them in training.

    Attributes:
        views: two or three of 2d, image, 3d with commas between them; 2d is always one of them.
        modality_dropout: probability that a view is left out of the unified embedding; one of the others
            than 2d always stays.
        image_augment: on changes colours, turns and blurs drawings (never mirrors them); off leaves them.
        image_rotation: largest angle by which a drawing is turned either way, in degrees.

    Raises:
        MoleblendError: an impossible value.
    """

    views: str = "2d,image,3d"
    modality_dropout: float = 0.1
    image_augment: Literal["on", "off"] = "on"
    image_rotation: float = 180.0

    def __post_init__(self) -> None:
        names = self.views.split(",")
        if (
            not set(names) <= set(VIEWS)
            or len(set(names)) < len(names)
            or "2d" not in names
            or len(names) < 2
        ):
            raise MoleblendError(
                f"--views {self.views}: give 2d and one or both of image and 3d, such as 2d,image,3d"
            )
        check_rates(self, "modality_dropout")
        if not 0 <= self.image_rotation <= 180:
            raise MoleblendError(f"--image-rotation {self.image_rotation:g}: give 0 to 180 degrees")

    @property
    def names(self) -> tuple[str, ...]:
        """The views in the order of ``schema.VIEWS``: the V axis of a run."""
        chosen = self.views.split(",")
        return tuple(name for name in VIEWS if name in chosen)


class Images(Protocol):
    """Drawings by molecule: ``data.store.image_file.ImageFile``, or any list of them."""

    @property
    def size(self) -> int:
        """S."""

    def __getitem__(self, index: int) -> UInt8Array | None:
        """uint8 [3, S, S], or ``None``."""


class ViewMaker:
    """Makes the fields of ``schema.VIEW_FIELDS`` of one molecule.

    Args:
        config: which views.
        images: drawings, ``None`` where image is no view of the run.
        seed: the run's seed.
        training: whether views are dropped and drawings changed.
    """

    def __init__(self, config: ViewConfig, images: Images | None, seed: int, training: bool) -> None:
        self.config = config
        self.images = images
        self.seed = seed
        self.training = training
        self._bits = np.array([VIEWS[name] for name in config.names], np.uint8)

    def __call__(self, record: MoleculeRecord, molecule: int, epoch: int) -> ViewFields[Array]:
        """The fields, without B."""
        image = None if self.images is None else self.images[molecule]
        has = {
            Modality.GRAPH: True,
            Modality.IMAGE: image is not None,
            Modality.GEOMETRY: record.coords is not None,
        }
        present = np.array([has[Modality(bit)] for bit in self._bits])
        uniform = generator(self.seed, epoch, molecule, Purpose.VIEWS).random(len(present) + 1)
        dropped = uniform[:-1] < (self.config.modality_dropout if self.training else 0.0)
        size = 0 if self.images is None else self.images.size
        blank = np.full((3, size, size), VIEW_FIELDS["image"].pad, np.uint8)
        return {
            "modalities": np.array(self._bits[present].sum(), np.uint8),
            "fused": np.array(self._bits[kept_views(present, dropped)].sum(), np.uint8),
            "cross_from": derangement(present, float(uniform[-1])),
            "image": blank if image is None else image,
            "image_change": self._changes(molecule, epoch, image is not None),
        }

    def _changes(self, molecule: int, epoch: int, there: bool) -> Float32Array:
        if not (there and self.training and self.config.image_augment == "on"):
            return np.zeros(len(IMAGE_CHANGES), np.float32)
        draw = generator(self.seed, epoch, molecule, Purpose.IMAGE)
        return draw_changes(draw, math.radians(self.config.image_rotation))


def kept_views(present: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """Views bool [V] of ``present`` that are not ``dropped``; the first (2d) must not be left alone."""
    kept: np.ndarray = present & ~dropped
    if not kept[1:].any():
        kept[1:] = present[1:]
    if not kept.any():
        kept = present.copy()
    return kept


def derangement(present: np.ndarray, uniform: float) -> UInt8Array:
    """For each view uint8 [V], another one of ``present`` (each once), chosen by a draw in [0, 1).

    Of up to three views every derangement is a cyclic shift. A view that is absent or alone gets itself.
    """
    source = np.arange(len(present), dtype=np.uint8)
    there = np.flatnonzero(present)
    if len(there) > 1:
        source[there] = np.roll(there, 1 + int(uniform * (len(there) - 1)))
    return source
