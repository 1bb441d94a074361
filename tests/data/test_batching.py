"""Epoch order: a permutation that keeps like sizes together."""

from __future__ import annotations

import numpy as np
import pytest

from moleblend_plugin.data.batches import order as order_module
from moleblend_plugin.data.batches.drawn_order import DrawnOrder, Permutation
from moleblend_plugin.data.batches.order import cut_batches, epoch_order, mixed_order, padding_share
from moleblend_plugin.data.rng import Purpose, generator

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
    plain = padding_share(SIZES, cut_batches(np.random.default_rng(1).permutation(len(SIZES)), SIZES, 32))
    bucketed = padding_share(SIZES, cut_batches(epoch_order(SIZES, 32, 1, 1, True), SIZES, 32))
    assert plain > 2
    assert bucketed < 1.25


def test_padding_share_by_hand() -> None:
    """Batches (2, 4) and (3): 2 * 16 + 9 computed over 4 + 16 + 9 useful."""
    share = padding_share(np.array([2, 4, 3]), [np.array([0, 1]), np.array([2])])
    assert share == pytest.approx(41 / 29)


def test_mixed_batches_are_like_the_whole() -> None:
    """Every molecule once, another order in every epoch and for every seed, whatever the sizes."""
    sizes = np.repeat(np.arange(5, 45), 32)
    order = mixed_order(len(sizes), seed=1, epoch=1)
    assert sorted(order) == list(range(len(sizes)))
    np.testing.assert_array_equal(order, mixed_order(len(sizes), 1, 1))
    assert not np.array_equal(order, mixed_order(len(sizes), 1, 2))
    assert not np.array_equal(order, mixed_order(len(sizes), 2, 1))
    mixed = [sizes[batch].mean() for batch in cut_batches(order, sizes, 128)]
    sorted_ = [sizes[batch].mean() for batch in cut_batches(epoch_order(sizes, 128, 1, 1, True), sizes, 128)]
    assert np.std(mixed) < 2 < np.std(sorted_)


def test_evaluation_order_is_by_size_then_index() -> None:
    assert epoch_order(np.array([3, 1, 2, 1]), 2, 1, 9, False).tolist() == [1, 3, 2, 0]


def cut(sizes: list[int], *limits: int | None) -> list[list[int]]:
    """Sizes of the molecules of each batch, in the order given."""
    array = np.array(sizes, np.uint16)
    return [array[batch].tolist() for batch in cut_batches(np.arange(len(sizes)), array, *limits)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sizes", "limits", "batches"),
    [
        ([1, 1, 1, 1, 1], (2, None), [[1, 1], [1, 1], [1]]),
        ([3, 3, 3, 4, 4], (9, 9), [[3, 3, 3], [4, 4]]),  # 4 x 4 would be 16, padding counts
        ([4, 1, 1, 1], (9, 8), [[4, 1], [1, 1]]),  # the largest need not come last
        ([2, 2, 2, 2], (3, 100), [[2, 2, 2], [2]]),  # molecules limit first
        ([2, 50, 2, 2], (9, 10), [[2], [50], [2, 2]]),  # too large for any batch: alone, in its place
        ([2, 2, 2, 2, 2, 2, 2], (9, 10, 2), [[2, 2, 2, 2], [2, 2, 2]]),  # five would fit: cut to four
        ([2, 2, 2, 2], (9, 6, 8), [[2, 2, 2], [2]]),  # three fit, eight never would
        ([1] * 5, (3, None, 2), [[1] * 4, [1]]),  # the host's rule: 3 is rounded up to 4
        ([], (3, 10), []),
    ],
)
def test_cut_by_hand(sizes: list[int], limits: tuple[int, ...], batches: list[list[int]]) -> None:
    assert cut(sizes, *limits) == batches


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("batch_size", "max_atoms"), [(32, 500), (1024, 4000), (7, 60)])
def test_a_budget_is_kept_and_used(batch_size: int, max_atoms: int, shuffle: bool) -> None:
    order = epoch_order(SIZES, batch_size, 1, 1, shuffle)
    batches = cut_batches(order, SIZES, batch_size, max_atoms)
    np.testing.assert_array_equal(np.concatenate(batches), order)
    padded = [len(batch) * int(SIZES[batch].max()) for batch in batches]
    assert max(padded) <= max_atoms
    assert max(len(batch) for batch in batches) <= batch_size
    for batch, after in zip(batches, batches[1:], strict=False):  # one molecule more would break a limit
        longer = np.append(batch, after[0])
        assert len(longer) > batch_size or len(longer) * int(SIZES[longer].max()) > max_atoms


@pytest.mark.parametrize("by_size", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 1000, 4097])
def test_a_drawn_order_is_a_permutation_read_by_any_slices(count: int, by_size: bool) -> None:
    sizes = np.random.default_rng(2).integers(3, 40, count).astype(np.uint16)
    order = DrawnOrder(count, 1, 1, window=64, n_atoms=sizes if by_size else None)
    whole = order[:]
    assert sorted(whole.tolist()) == list(range(count))
    for start, stop in [(0, 1), (60, 70), (63, 64), (64, 64), (100, 900), (-5, None), (5000, 6000)]:
        np.testing.assert_array_equal(order[start:stop], whole[start:stop])
    for start in range(0, count, 64):
        window = sizes[whole[start : start + 64]]
        assert not by_size or (np.diff(window.astype(int)) >= 0).all()
    if count > 64:
        assert (whole != DrawnOrder(count, 1, 2, 64, sizes if by_size else None)[:]).any()
        assert (whole != DrawnOrder(count, 2, 1, 64, sizes if by_size else None)[:]).any()
    with pytest.raises(ValueError, match="no steps"):
        order[::2]


def test_drawn_numbers_come_at_every_place_equally_often() -> None:
    """Of 7,000 permutations of 7: chi-squared of every place's counts below its 99.99th percentile, 27.9."""
    places = np.arange(7, dtype=np.uint64)
    drawn = np.array([Permutation(7, seed, 1)(places) for seed in range(7000)])
    for place in range(7):
        counts = np.bincount(drawn[:, place].astype(int), minlength=7)
        assert ((counts - 1000) ** 2 / 1000).sum() < 27.9


def test_held_orders_are_numpys_permutation_in_half_the_memory() -> None:
    """Orders of earlier versions: a resumed run goes on with the same molecules."""
    order = mixed_order(5000, seed=3, epoch=7)
    assert isinstance(order, np.ndarray)
    assert order.dtype == np.uint32
    np.testing.assert_array_equal(order, generator(3, 7, 0, Purpose.ORDER).permutation(5000))


@pytest.mark.parametrize("max_atoms", [None, 500])
def test_beyond_what_is_held_an_order_is_drawn(
    monkeypatch: pytest.MonkeyPatch, max_atoms: int | None
) -> None:
    monkeypatch.setattr(order_module, "HELD", 1000)
    for order in (epoch_order(SIZES, 32, 1, 1, True), mixed_order(len(SIZES), 1, 1)):
        assert isinstance(order, DrawnOrder)
        batches = cut_batches(order, SIZES, 32, max_atoms)
        np.testing.assert_array_equal(np.concatenate(list(batches)), order[:])
        np.testing.assert_array_equal(batches[-1], order[:][-len(batches[-1]) :])
    by_size = cut_batches(epoch_order(SIZES, 32, 1, 1, True), SIZES, 32, max_atoms)
    assert padding_share(SIZES, by_size) < 1.25
