"""Products of small matrices against NumPy's, of sizes that fill tiles and that do not."""

from __future__ import annotations

import numpy as np
import pytest

from moleblend_plugin.simd.products import add_product


@pytest.mark.parametrize("sizes", [(4, 3, 16), (1, 1, 8), (5, 7, 24), (6, 16, 40), (31, 16, 32), (3, 0, 8)])
@pytest.mark.parametrize("turned", [False, True])
def test_products_are_added(sizes: tuple[int, int, int], turned: bool) -> None:
    rows, inner, columns = sizes
    draw = np.random.default_rng(0)
    a, b, c = (
        draw.normal(size=shape).astype("f") for shape in ((rows, inner), (inner, columns), (rows, columns))
    )
    expected, flat = c + a @ b, np.concatenate((np.full(3, np.nan, "f"), c.ravel(), np.full(8, np.nan, "f")))
    lies = a.T.copy().ravel() if turned else a.ravel()
    steps = (1, rows) if turned else (inner, 1)
    add_product(lies, 0, *steps, b.ravel(), 0, columns, flat, 3, columns, rows, inner, columns)
    np.testing.assert_allclose(flat[3:-8].reshape(rows, columns), expected, rtol=1e-5, atol=1e-5)
    assert np.isnan(flat[:3]).all()
    assert np.isnan(flat[-8:]).all()
