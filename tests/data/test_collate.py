"""Padding follows the schema."""

from __future__ import annotations

import numpy as np
import torch

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.data.samples.blend import BlendConfig, blend
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.schema import INPUT_FIELDS, TARGET_FIELDS
from tests.molecules import make_record

SIZES = (1, 9, 4)
SAMPLES = [
    blend(featurize(make_record(n, i)), BlendConfig(), 1, 1, i)
    | {"index": np.array(10 + i), "descriptors": np.full(3, i, np.float32), "ecfp": np.full(2, i, np.uint8)}
    for i, n in enumerate(SIZES)
]


def test_every_field_has_the_schema_shape_and_dtype() -> None:
    batch = collate(SAMPLES)
    axes = {"B": len(SIZES), "N": max(SIZES), "F": 3, "E": 2}
    for part, fields in (("net_input", INPUT_FIELDS), ("target", TARGET_FIELDS)):
        assert set(batch[part]) == set(fields)
        for name, field in fields.items():
            expected = tuple(axes.get(axis) or int(axis) for axis in field.shape.split())
            assert batch[part][name].shape == expected, name
            assert batch[part][name].dtype == getattr(torch, field.dtype), name


def test_values_are_kept_and_the_rest_is_padding() -> None:
    batch = collate(SAMPLES)
    for name, field in INPUT_FIELDS.items():
        for row, sample in enumerate(SAMPLES):
            padded, n = batch["net_input"][name][row].numpy(), SIZES[row]
            inside = tuple(slice(n) if axis == "N" else slice(None) for axis in field.shape.split()[1:])
            np.testing.assert_array_equal(padded[inside], sample[name])
            outside = np.ones(padded.shape, bool)
            outside[inside] = False
            assert (padded[outside] == field.pad).all(), name


def test_index_comes_along() -> None:
    assert collate(SAMPLES)["index"].tolist() == [10, 11, 12]


def test_an_empty_list_is_a_dummy_batch() -> None:
    assert collate([]) == {}


def test_what_travels_per_drug_like_molecule_is_below_8_kb() -> None:
    """Against 294 kB of the published code (method 2): 27.5 heavy atoms, here 28."""
    batch = collate([blend(featurize(make_record(28)), BlendConfig(), 1, 1, 0) | {"index": np.array(0)}])
    tensors = [*batch["net_input"].values(), *batch["target"].values(), batch["index"]]
    assert sum(tensor.nbytes for tensor in tensors) <= 8000
