"""A batch of mixed sizes in parts of like size, so that a small molecule is not padded to the largest.

B molecules, N atoms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, cast

import torch
from torch import Tensor

from moleblend_plugin.models.parts.kernels import on_cpu
from moleblend_plugin.schema import INPUT_FIELDS, InputFields

MOLECULES: Final = 32
"""Of a part. Smaller ones save little padding more, and every part pays for its small operations."""
_WORTH: Final = 0.8
"""Padded pairs of the parts, in those of the batch, above which a batch is left whole."""
_AXES: Final = {name: field.shape.split().count("N") for name, field in INPUT_FIELDS.items()}


class SizeGroups(NamedTuple):
    """Inputs of every part, and the row of each molecule in the parts, one after another."""

    inputs: Sequence[InputFields[Tensor]]
    back: Tensor | None  # int64 [B]; None: one part, the batch as it is

    def join(self, rows: list[Tensor]) -> Tensor:
        """[B, ...] in the batch's order of what was computed of every part."""
        return rows[0] if self.back is None else torch.cat(rows)[self.back]


def group_by_size(inputs: InputFields[Tensor]) -> SizeGroups:
    """Parts of at most ``MOLECULES``, each cut to its largest; a batch of like sizes is one part as it is.

    Where the sizes cannot be looked at without waiting (``kernels.on_cpu``) the batch is left whole.

    Args:
        inputs: rows of ``schema.INPUT_FIELDS``.
    """
    codes = inputs["atom_codes"]
    if not on_cpu(codes):
        return SizeGroups([inputs], None)
    sizes, order = (codes[..., 0] > 0).sum(1).sort(stable=True)
    rows = torch.split(order, MOLECULES)
    largest = [int(part[-1]) for part in torch.split(sizes, MOLECULES)]
    pairs = sum(len(part) * size**2 for part, size in zip(rows, largest, strict=True))
    if pairs > _WORTH * len(codes) * codes.shape[1] ** 2:
        return SizeGroups([inputs], None)
    cut = [_cut(inputs, part, size) for part, size in zip(rows, largest, strict=True)]
    return SizeGroups(cut, order.argsort())


def _cut(inputs: InputFields[Tensor], rows: Tensor, size: int) -> InputFields[Tensor]:
    """The first ``size`` atoms of some molecules."""
    atoms = slice(0, size)
    fields = cast("Mapping[str, Tensor]", inputs)
    cut = {
        name: value[rows][(slice(None), *[atoms] * _AXES[name])].contiguous()
        for name, value in fields.items()
    }
    return cast("InputFields[Tensor]", cut)
