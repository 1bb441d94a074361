"""Epoch order: a permutation that keeps like sizes together."""

from __future__ import annotations

import numpy as np
import pytest

from moleblend_plugin.data.batching import epoch_order, padding_share

SIZES = np.random.default_rng(0).integers(3, 40, 5000).astype(np.uint16)


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_molecule_comes_once(shuffle: bool) -> None:
    order = epoch_order(SIZES, 32, 1, 1, shuffle)
    np.testing.assert_array_equal(np.sort(order), np.arange(len(SIZES)))


def test_epochs_and_seeds_differ_and_repeat() -> None:
    first = epoch_order(SIZES, 32, 1, 1, True)
    np.testing.assert_array_equal(first, epoch_order(SIZES, 32, 1, 1, True))
    assert (first != epoch_order(SIZES, 32, 1, 2, True)).any()
    assert (first != epoch_order(SIZES, 32, 2, 1, True)).any()


def test_little_padding_is_computed() -> None:
    plain = padding_share(SIZES, np.random.default_rng(1).permutation(len(SIZES)), 32)
    bucketed = padding_share(SIZES, epoch_order(SIZES, 32, 1, 1, True), 32)
    assert plain > 2
    assert bucketed < 1.25


def test_padding_share_by_hand() -> None:
    """Batches (2, 4) and (3): 2 * 16 + 9 computed over 4 + 16 + 9 useful."""
    assert padding_share(np.array([2, 4, 3]), np.array([0, 1, 2]), 2) == pytest.approx(41 / 29)


def test_evaluation_order_is_by_size_then_index() -> None:
    assert epoch_order(np.array([3, 1, 2, 1]), 2, 1, 9, False).tolist() == [1, 3, 2, 0]
