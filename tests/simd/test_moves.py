"""Reading and writing by index, and turning, in compiled functions."""

from __future__ import annotations

import numpy as np
from numba import njit

from moleblend_plugin.schema import Array
from moleblend_plugin.simd.moves import add_scattered, gathered, turned
from moleblend_plugin.simd.vectors import store


@njit
def _gather(table: Array, first: int, codes: Array, place: int, out: Array) -> None:
    store(out, 0, gathered(table, first, codes, place))


@njit
def _scatter(table: Array, first: int, codes: Array, place: int, values: Array, at: int, count: int) -> None:
    add_scattered(table, first, codes, place, values, at, count)


@njit
def _turn(array: Array, first: int, step: int, out: Array, to: int, row: int) -> None:
    turned(array, first, step, out, to, row)


DRAW = np.random.default_rng(1)
TABLE = DRAW.normal(size=40).astype(np.float32)
CODES = DRAW.integers(0, 30, 20).astype(np.int32)


def test_eight_numbers_by_their_codes() -> None:
    out = np.empty(8, np.float32)
    _gather(TABLE, 10, CODES, 3, out)
    np.testing.assert_array_equal(out, TABLE[10 + CODES[3:11]])


def test_numbers_that_share_a_code_are_all_added() -> None:
    codes, values = CODES % 3, DRAW.normal(size=20).astype(np.float32)
    sums = TABLE.copy()
    _scatter(sums, 5, codes, 2, values, 1, 17)
    expected = TABLE.astype(np.float64)
    np.add.at(expected, 5 + codes[2:19], values[1:18])
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-6)
    before = sums.copy()
    _scatter(sums, 5, codes, 2, values, 1, 0)
    np.testing.assert_array_equal(sums, before)


def test_rows_become_columns() -> None:
    array, out = DRAW.normal(size=(8, 11)).astype(np.float32), np.zeros((8, 13), np.float32)
    _turn(array.reshape(-1), 2, 11, out.reshape(-1), 4, 13)
    np.testing.assert_array_equal(out[:, 4:12], array[:, 2:10].T)
    assert not out[:, :4].any()
    assert not out[:, 12:].any()
