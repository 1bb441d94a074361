"""Batches with views for tests of structure-aware pretraining: made molecules under random drawings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from moleblend_plugin.data.batches.collate import Batch
from moleblend_plugin.data.batches.viewed import ViewedMolecules
from moleblend_plugin.data.samples.views import ViewConfig, ViewMaker
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.structure.config import StructureConfig
from tests.molecules import RecordList, make_record

SMALL = ModelConfig(
    encoder_layers=1,
    encoder_embed_dim=16,
    encoder_ffn_embed_dim=16,
    encoder_attention_heads=4,
    gaussian_kernels=8,
    attention_dropout=0,
    activation_dropout=0,
    drop_path=0,
)
SIZES = StructureConfig(
    graph_layers=2,
    graph_dim=12,
    geometry_layers=2,
    geometry_dim=12,
    image_width=4,
    view_dim=24,
    code_dim=16,
    refined_dim=16,
    contrast_dim=8,
    neighbours=3,
    refined_dropout=0,
    anchors=8,
)
VIEWS = ("2d", "image", "3d")


class Drawings:
    """Random pixels by molecule; ``None`` for those in ``blank``."""

    def __init__(self, count: int, blank: Sequence[int] = (), size: int = 32) -> None:
        self.size = size
        self._pixels = np.random.default_rng(5).integers(0, 256, (count, 3, size, size), dtype=np.uint8)
        self._blank = set(blank)

    def __getitem__(self, index: int) -> np.ndarray | None:
        return None if index in self._blank else self._pixels[index]


def viewed(
    sizes: Sequence[int],
    *,
    blank: Sequence[int] = (),
    flat: Sequence[int] = (),
    config: ViewConfig | None = None,
    training: bool = False,
    seed: int = 1,
) -> ViewedMolecules:
    """Made molecules; those in ``blank`` have no drawing, those in ``flat`` no 3D."""
    records = RecordList(
        make_record(size, number, conformers=0 if number in flat else 2) for number, size in enumerate(sizes)
    )
    make = ViewMaker(config or ViewConfig(), Drawings(len(sizes), blank), seed, training)
    return ViewedMolecules(records, make, seed, shuffle=training)


def batch_of(molecules: ViewedMolecules) -> Batch:
    """All of them in one batch."""
    return molecules.collate([molecules[index] for index in range(len(molecules))])


def part_of(batch: Batch, rows: Sequence[int]) -> Batch:
    """Some rows of a batch."""
    index = torch.tensor(list(rows))
    return {
        name: {key: value[index] for key, value in fields.items()}
        if isinstance(fields, dict)
        else fields[index]
        for name, fields in batch.items()
    }
