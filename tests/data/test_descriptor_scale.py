"""The transform of descriptors: by hand, with missing values, heavy tails and rare groups."""

from __future__ import annotations

import numpy as np
import pytest

from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.errors import MoleblendError

RNG = np.random.default_rng(0)


def fitted(*columns: np.ndarray) -> DescriptorScale:
    values = np.stack(columns, axis=1).astype(np.float32)
    return DescriptorScale.fit(values, [f"d{i}" for i in range(len(columns))], "RDKit 1")


def test_values_are_standardised_without_the_missing() -> None:
    column = np.array([1.0, 2.0, 3.0, np.nan, np.inf, 4.0])
    scale = fitted(column)
    there = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(scale.mean, 2.5)
    np.testing.assert_allclose(scale.std, there.std(), rtol=1e-6)
    scaled = scale(column[:, None].astype(np.float32))[:, 0]
    assert np.isnan(scaled[3])
    np.testing.assert_allclose(scaled[[0, 5]], [-1.5 / there.std(), 1.5 / there.std()], rtol=1e-6)


def test_a_wild_value_changes_neither_scale_nor_target_without_bound() -> None:
    column = RNG.normal(size=5000)
    column[0] = 9508.0  # as Kappa3 of tert-butanol
    scale = fitted(column)
    assert 0.9 < scale.std[0] < 1.1
    assert scale(np.array([9508.0], np.float32))[0] < 4


def test_a_rare_group_is_learned_and_clipped() -> None:
    column = np.zeros(5000)
    column[:2] = 1.0  # rarer than the tail
    scale = fitted(column)
    np.testing.assert_allclose(scale(np.array([1.0], np.float32)), 8.0)
    assert -0.1 < scale(np.array([0.0], np.float32))[0] < 0


def test_a_column_of_one_value_or_none_is_no_target() -> None:
    scale = fitted(np.full(10, 7.0), np.full(10, np.nan), RNG.normal(size=10))
    scaled = scale(np.ones((2, 3), np.float32))
    assert np.isnan(scaled[:, :2]).all()
    assert np.isfinite(scaled[:, 2]).all()
    assert np.isnan(scale.targets(None)).all()


def test_plain_values_come_back() -> None:
    scale = fitted(RNG.normal(size=100), RNG.exponential(size=100))
    again = DescriptorScale.from_plain(scale.to_plain())
    probe = RNG.normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_array_equal(again(probe), scale(probe))
    assert (again.names, again.toolkit) == (scale.names, "RDKit 1")


def test_damage_is_named() -> None:
    plain = fitted(RNG.normal(size=10)).to_plain()
    plain["transform"]["std"] = []
    with pytest.raises(MoleblendError, match="build the store again with --descriptors"):
        DescriptorScale.from_plain(plain)
