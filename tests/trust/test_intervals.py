"""Intervals of one target: by hand, and covered where errors grow with distance."""

from __future__ import annotations

import numpy as np
import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trust.intervals import ErrorLine, fit_error_line, half_widths

NAN = float("nan")


def test_the_line_by_hand() -> None:
    """Errors 1, 2, 3 at distances 0, 0.5, 1."""
    found = fit_error_line([1.0, -2.0, 3.0, NAN], [1.0, 0.5, 0.0, 0.3])
    assert found.base == pytest.approx(1)
    assert found.slope == pytest.approx(2)
    np.testing.assert_allclose(found([1.0, 0.25]), [1.0, 2.5])


def test_the_line_never_falls_nor_reaches_zero() -> None:
    assert fit_error_line([3.0, 2.0, 1.0], [1.0, 0.5, 0.0]) == ErrorLine(2.0, 0.0)
    steep = fit_error_line([0.0, 0.0, 3.0], [0.5, 0.4, 0.0])
    assert steep.base == pytest.approx(0.1)
    assert fit_error_line([0.0, 0.0], [1.0, 0.5]).base > 0
    assert fit_error_line([NAN], [0.5]) == ErrorLine(1.0, 0.0)


def test_widths_by_hand() -> None:
    """Ten residuals 1 to 10: rank 10 of 10 at 0.9, 9 at 0.8. Normalised: divided by 1 or 2."""
    residuals = np.arange(1.0, 11.0) * np.tile([1, -1], 5)
    similarity = np.repeat([1.0, 0.0], 5)
    line = ErrorLine(1.0, 1.0)
    args = (residuals, similarity, [1.0, 0.0])
    np.testing.assert_allclose(half_widths(*args, line, 0.9, "absolute"), [10, 10])
    np.testing.assert_allclose(half_widths(*args, line, 0.8, "absolute"), [9, 9])
    # 1 2 3 4 5 and 6 7 8 9 10 over 2: the largest is 5.
    np.testing.assert_allclose(half_widths(*args, line, 0.9, "normalised"), [5, 10])
    np.testing.assert_allclose(half_widths(*args[:2], [NAN], line, 0.9, "normalised"), [10])
    assert np.isinf(half_widths(*args, line, 0.95, "absolute")).all()
    with pytest.raises(MoleblendError, match="residuals='squared' is unknown; choose from absolute, normal"):
        half_widths(*args, line, 0.9, "squared")  # type: ignore[arg-type]


def test_normalised_intervals_cover_far_molecules_where_absolute_ones_do_not() -> None:
    """Errors that grow fivefold with distance; both kinds cover all molecules together."""
    random = np.random.default_rng(0)
    covered: dict[str, list[np.ndarray]] = {"absolute": [], "normalised": []}
    for _ in range(100):
        similarity = random.random(500)
        residuals = random.normal(size=500) * (0.2 + 0.8 * (1 - similarity))
        line = fit_error_line(residuals[:250], similarity[:250])
        for kind, found in covered.items():
            half = half_widths(
                residuals[:250],
                similarity[:250],
                similarity[250:],
                line,
                0.9,
                kind,  # type: ignore[arg-type]
            )
            inside = np.abs(residuals[250:]) <= half
            far = similarity[250:] < 0.33
            found.append(np.array([inside.mean(), inside[far].mean()]))
    absolute, normalised = (np.mean(covered[kind], 0) for kind in ("absolute", "normalised"))
    assert 0.89 < absolute[0] < 0.92
    assert 0.89 < normalised[0] < 0.92
    assert absolute[1] < 0.83
    assert 0.87 < normalised[1] < 0.93
