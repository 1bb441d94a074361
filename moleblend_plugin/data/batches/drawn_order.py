"""A shuffled order that is drawn where it is read, for more molecules than an order held in memory is for."""

from __future__ import annotations

from math import isqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.rng import Purpose, generator

ROUNDS: Final = 6
"""Of the Feistel network; four would already hide every pattern of positions."""


class Permutation:
    """A permutation of ``range(count)`` that takes no memory: a number for a place, by arithmetic.

    A generalized Feistel network on pairs (left, right), left < a and right < b, with cycle walking where
    a x b is more than ``count`` (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).

    Args:
        count: how many numbers, at most 2**62.
        seed: the run's seed.
        epoch: epoch number.
    """

    def __init__(self, count: int, seed: int, epoch: int) -> None:
        self.count = count
        self._lefts = np.uint64(isqrt(max(count, 1) - 1) + 1)
        self._rights = np.uint64(-(-max(count, 1) // int(self._lefts)))
        draw = generator(seed, epoch, 0, Purpose.ORDER)
        self._keys = draw.integers(0, 2**64, ROUNDS, np.uint64)

    def __call__(self, places: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """The numbers at ``places``, each below ``count``."""
        numbers = self._once(places)
        while (beyond := numbers >= self.count).any():
            numbers[beyond] = self._once(numbers[beyond])
        return numbers

    def _once(self, places: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        left, right = np.divmod(places, self._rights)
        for number, key in enumerate(self._keys):
            if number % 2:
                right = (right + _hash(left, key) % self._rights) % self._rights
            else:
                left = (left + _hash(right, key) % self._lefts) % self._lefts
        mixed: npt.NDArray[np.uint64] = left * self._rights + right
        return mixed


def _hash(values: npt.NDArray[np.uint64], key: np.uint64) -> npt.NDArray[np.uint64]:
    """64 well mixed bits of every value (the output function of SplitMix64; Steele et al., 2014)."""
    bits = values ^ key
    bits = (bits ^ bits >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ bits >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = bits ^ bits >> np.uint64(31)
    return mixed


class DrawnOrder:
    """The order of an epoch as ``epoch_order`` describes it, of which only the window in use is held.

    Reads like a one-dimensional array by slices. It is another permutation than ``epoch_order`` draws.

    Args:
        count: number of items.
        seed: the run's seed.
        epoch: epoch number.
        window: items that are sorted by size together.
        n_atoms: heavy atoms of every item; ``None`` sorts nothing.
    """

    def __init__(
        self, count: int, seed: int, epoch: int, window: int, n_atoms: npt.NDArray[np.integer] | None
    ) -> None:
        self._permutation = Permutation(count, seed, epoch)
        self._window = window
        self._n_atoms = n_atoms
        self._last: tuple[int, npt.NDArray[np.uint64]] = (-1, np.empty(0, np.uint64))

    def __len__(self) -> int:
        return self._permutation.count

    def __getitem__(self, part: slice) -> npt.NDArray[np.uint64]:
        """Indices of consecutive places.

        Raises:
            ValueError: the slice has a step.
        """
        start, stop, step = part.indices(len(self))
        if step != 1:
            raise ValueError("an order that is drawn where it is read has no steps")
        first, last = start // self._window, max(start, stop - 1) // self._window
        windows = [self._draw(number) for number in range(first, last + 1)] if start < stop else []
        offset = first * self._window
        return np.concatenate([np.empty(0, np.uint64), *windows])[start - offset : max(stop - offset, 0)]

    def _draw(self, number: int) -> npt.NDArray[np.uint64]:
        held, window = self._last
        if held != number:
            start = number * self._window
            stop = min(start + self._window, len(self))
            window = self._permutation(np.arange(start, stop, dtype=np.uint64))
            if self._n_atoms is not None:
                window = window[np.argsort(self._n_atoms[window], kind="stable")]
            self._last = number, window
        return window
