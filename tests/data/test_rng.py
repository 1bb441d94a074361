"""Generators: a function of their arguments, however they are made."""

from __future__ import annotations

import threading

import numpy as np

from moleblend_plugin.data.philox import uniform
from moleblend_plugin.data.rng import Purpose, generator, passing_generator


def test_a_passing_generator_draws_what_a_fresh_one_does() -> None:
    """Also after draws that left numbers over, and for the largest arguments."""
    for arguments in ((0, 0, 0), (1, 2, 3), (2**32 - 1, 2**32 - 1, 2**56 - 1)):
        for purpose in Purpose:
            fresh, passing = generator(*arguments, purpose), passing_generator(*arguments, purpose)
            for size in (1, 7, 32):
                np.testing.assert_array_equal(
                    fresh.random(size, np.float32), passing.random(size, np.float32)
                )
                np.testing.assert_array_equal(
                    fresh.standard_normal(size, np.float32), passing.standard_normal(size, np.float32)
                )
            assert fresh.integers(10, size=3).tolist() == passing.integers(10, size=3).tolist()


def test_compiled_draws_are_those_of_numpy() -> None:
    """For the largest arguments, and for counts that end within a word and within a block of four."""
    for arguments in ((0, 0, 0), (1, 2, 3), (2**32 - 1, 2**32 - 1, 2**56 - 1)):
        for purpose in Purpose:
            expected = generator(*arguments, purpose).random(1001, np.float32)
            for count in (0, 1, 2, 7, 8, 9, 1001):
                np.testing.assert_array_equal(uniform(*arguments, int(purpose), count), expected[:count])


def test_threads_do_not_disturb_each_other() -> None:
    mine = passing_generator(1, 1, 1, Purpose.NOISE)
    other = threading.Thread(target=lambda: passing_generator(2, 2, 2, Purpose.PAIRS).random(5))
    other.start()
    other.join()
    np.testing.assert_array_equal(mine.random(9), generator(1, 1, 1, Purpose.NOISE).random(9))
