"""Odd labels: one value in a whole column, and values far from all others; few false alarms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from moleblend_plugin.data.store.label_range import LabelRange


def warnings(*columns: list[float] | npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> list[str]:
    labels = LabelRange([f"y{place}" for place in range(len(columns))])
    for row, values in enumerate(np.array(columns, float).T):
        labels.add(f"a.csv:{row}", values)
    return labels.warnings()


def spread(count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(5, 2, count)


@pytest.mark.parametrize("count", [5, 100, 5000])
@pytest.mark.parametrize("value", [1e9, -1e9, -99999.0])
def test_one_value_far_from_all_others_is_told_with_its_row(count: int, value: float) -> None:
    values = spread(count)
    values[count // 2] = value
    (line,) = warnings(values)
    assert f"column 'y0' holds {value:g} in a.csv:{count // 2}" in line
    assert "--missing-label" in line


def test_a_word_for_missing_that_is_a_number_is_told() -> None:
    values = spread(1000)
    values[::40] = -999999
    assert len(warnings(values)) == 1


def test_a_value_among_equal_ones_is_told() -> None:
    assert "holds 1e+09 in a.csv:3" in warnings([5, 5, 5, 1e9, 5, 5, 5])[0]
    assert "holds 1e+09 in a.csv:8" in warnings([0, 0, 0, 1, 0, 0, 2, 0, 1e9])[0]


def test_far_values_in_a_long_table_are_found_beyond_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moleblend_plugin.data.store.label_range._SAMPLE", 2000)
    values = spread(10_001)
    values[7777] = 1e12
    (line,) = warnings(values, spread(10_001, 1))
    assert "in a.csv:7777" in line


@pytest.mark.parametrize(
    "values",
    [
        spread(1000),
        np.exp(np.random.default_rng(1).normal(0, 3, 5000)),  # concentrations over ten powers of ten
        np.random.default_rng(2).integers(0, 2, 500),
        [0] * 5000 + [1],
        [0, 0, 0, 0, 1, 2, 7],
        [1e6, 2e6, 3e6, 2.5e6, 1.2e6, 9e7],
        [np.nan] * 10,
        [1e9],
        [1, 1, 1, 1e9],  # too few to say
    ],
)
def test_no_false_alarms(values: list[float] | npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> None:
    assert warnings(values) == []


def test_columns_of_one_value() -> None:
    assert warnings([3.5] * 6, spread(6)) == [
        "column 'y0' holds 3.5 in all of its 6 labels: nothing can be learned from it"
    ]
    assert warnings([3.5] * 4, spread(4)) == []
    (line,) = warnings(*[[0] * 6] * 7, spread(6))
    assert line == "7 of 8 label columns hold one value only: 'y0', 'y1', 'y2', 'y3', 'y4', ..."
