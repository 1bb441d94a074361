"""Samples -> one padded batch, driven by the schema: no field or pad is named here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from moleblend_plugin.data.samples.blend import Sample
from moleblend_plugin.schema import (
    HEAD_FIELDS,
    INPUT_FIELDS,
    PROPERTY_FIELDS,
    TARGET_FIELDS,
    VIEW_FIELDS,
    Field,
    InputFields,
    PropertyFields,
    TargetFields,
    ViewFields,
)


class Targets(TargetFields[Tensor], PropertyFields[Tensor]):
    """What a loss compares with: of pretraining, or of a property run."""


class Batch(TypedDict, total=False):
    """One padded batch; empty where no molecule is in it (Uni-Core's dummy batch)."""

    net_input: InputFields[Tensor]
    target: Targets
    views: ViewFields[Tensor]
    index: Tensor  # int64 [B], the molecules' numbers in their store


def pad_field(field: Field, arrays: Sequence[np.ndarray[Any, Any]], n_atoms: int) -> Tensor:
    """Stack ``arrays`` along B, axes called N padded to ``n_atoms``; E, F, L, S, V equally long in all."""
    letters = field.shape.split()[1:]
    axes = zip(letters, arrays[0].shape, strict=True)
    shape = [n_atoms if axis == "N" else length if axis in "EFLSV" else int(axis) for axis, length in axes]
    out = np.full((len(arrays), *shape), field.pad, np.dtype(field.dtype))
    padded = letters.count("N")  # they come first
    if padded == 2:
        for row, array in enumerate(arrays):
            size = len(array)
            out[row, :size, :size] = array
    elif padded == 1:
        for row, array in enumerate(arrays):
            out[row, : len(array)] = array
    else:
        out[:] = arrays
    return torch.from_numpy(out)


def pad_fields(fields: Mapping[str, Field], samples: Sequence[Mapping[str, Any]], n_atoms: int) -> Any:  # noqa: ANN401  the type of that table
    """Pad every field of ``fields`` that the samples carry."""
    return {
        name: pad_field(field, [sample[name] for sample in samples], n_atoms)
        for name, field in fields.items()
        if name in samples[0]
    }


def collate(samples: Sequence[Sample]) -> Batch:
    """One batch, padded to its largest molecule. An empty list gives ``{}`` (Uni-Core's dummy batch)."""
    if not samples:
        return {}
    n_atoms = max(sample["atom_codes"].shape[0] for sample in samples)
    batch: Batch = {
        "net_input": pad_fields(INPUT_FIELDS | HEAD_FIELDS, samples, n_atoms),
        "target": pad_fields(TARGET_FIELDS | PROPERTY_FIELDS, samples, n_atoms),
        "index": torch.tensor([int(sample["index"]) for sample in samples], dtype=torch.int64),
    }
    if views := pad_fields(VIEW_FIELDS, samples, n_atoms):
        batch["views"] = views
    return batch
