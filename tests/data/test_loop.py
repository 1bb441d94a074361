"""Loops give the same in Python and compiled, and are compiled once there is enough to do."""

from __future__ import annotations

import numpy as np
import pytest

from moleblend_plugin.data import loop
from moleblend_plugin.data.compiled import all_within
from moleblend_plugin.data.samples.paths import relations_2d
from moleblend_plugin.vocab import SPD

N = 12
BONDS = np.array([[i, i + 1] for i in range(N - 1)] + [[0, 5], [3, 9]], np.uint16)
PARTS = np.array([[i % 3, i % 2, (i + 1) % 2] for i in range(len(BONDS))], np.uint8)
TABLE = np.arange(1, 1 + 4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)


@pytest.mark.parametrize("by_codes", [True, False])
def test_relations_are_the_same_in_python(by_codes: bool) -> None:
    results = []
    for function in (relations_2d._function, relations_2d.compiled()):
        degree, spd = np.zeros(N + 1, np.uint8), np.zeros((N + 1, N + 1), np.uint8)  # the last atom is alone
        path = np.zeros((N + 1, N + 1, 5), np.uint8)
        function(BONDS, PARTS, TABLE, degree, spd, path, by_codes)
        results.append((degree, spd, path))
    assert all(np.array_equal(one, other) for one, other in zip(*results, strict=True))
    assert results[0][1][0, 11] == SPD.encode(6)  # 0-1-2-3-9-10-11, or by 5 and 4


@pytest.mark.parametrize(("highest", "within"), [(2, True), (3, False)])
def test_codes_are_checked_alike_in_python(highest: int, within: bool) -> None:
    atoms, sizes = np.full((N, 9), highest, np.uint8), np.full(9, 3, np.uint8)
    for function in (all_within._function, all_within.compiled()):
        assert function(atoms, BONDS, PARTS, sizes, np.full(3, 4, np.uint8)) == within


def test_a_loop_is_compiled_once_there_is_enough_to_do() -> None:
    def double(values: np.ndarray) -> None:
        for place in range(values.size):
            values[place] *= 2

    made = loop.Loop(double)
    made(np.ones(loop.ELEMENTS_IN_PYTHON - 1))
    assert made._compiled is None
    many = np.ones(2)
    made(many)
    assert made._compiled is not None
    assert many.tolist() == [2, 2]
