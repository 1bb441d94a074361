"""The draws of ``numpy.random.Philox`` inside compiled code: the same stream without a call per stream.

Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): ten rounds of two
64-bit multiplications turn a counter into four words, which a key makes a stream of its own. NumPy counts
from 1 and makes two float32 of a word, the low half first.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from moleblend_plugin.data.loop import loop
from moleblend_plugin.schema import Float32Array

_MULTIPLIER_0: Final = np.uint64(0xD2E7470EE14C6C93)
_MULTIPLIER_1: Final = np.uint64(0xCA5A826395121157)
_KEY_STEP_0: Final = np.uint64(0x9E3779B97F4A7C15)
_KEY_STEP_1: Final = np.uint64(0xBB67AE8584CAA73B)
_ROUNDS: Final = 10
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)
_UNIT: Final = np.float32(2.0**-24)


@loop(python=False)
def _high_word(a: np.uint64, b: np.uint64) -> np.uint64:
    """The upper 64 of the 128 bits of ``a * b``."""
    low_a, high_a, low_b, high_b = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    middle = high_a * low_b + (low_a * low_b >> _HALF)
    other = low_a * high_b + (middle & _LOW)
    return high_a * high_b + (middle >> _HALF) + (other >> _HALF)


@loop(python=False)
def uniform(seed: int, epoch: int, index: int, purpose: int, count: int) -> Float32Array:
    """What ``rng.generator(seed, epoch, index, purpose).random(count, float32)`` draws, [count]."""
    first_key = np.uint64(seed) << _HALF | np.uint64(epoch)
    second_key = np.uint64(index) << np.uint64(8) | np.uint64(purpose)
    drawn = np.empty(count, np.float32)
    for start in range(0, count, 8):
        key_0, key_1 = first_key, second_key
        a, b, c, d = np.uint64(start // 8 + 1), np.uint64(0), np.uint64(0), np.uint64(0)
        for _ in range(_ROUNDS):
            high_a, low_a = _high_word(_MULTIPLIER_0, a), _MULTIPLIER_0 * a
            high_c, low_c = _high_word(_MULTIPLIER_1, c), _MULTIPLIER_1 * c
            a, b, c, d = high_c ^ b ^ key_0, low_c, high_a ^ d ^ key_1, low_a
            key_0 += _KEY_STEP_0
            key_1 += _KEY_STEP_1
        words = (a, b, c, d)
        for place in range(min(8, count - start)):
            word = words[place >> 1]
            half = word >> _HALF if place & 1 else word & _LOW
            drawn[start + place] = np.float32(half >> np.uint64(8)) * _UNIT
    return drawn
