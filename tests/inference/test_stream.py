"""Batches over a stream: order, averages, and results that do not depend on company."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from moleblend_plugin.data.samples.blend import unblended
from moleblend_plugin.data.samples.featurize import Features
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.stream import cut, run
from tests.molecules import make_record, make_records

CPU = torch.device("cpu")


def both(features: Features) -> dict[str, npt.NDArray[np.float32] | npt.NDArray[np.uint8]]:
    return unblended(features, "both")


def sizes_and_places(net_input: dict[str, Tensor]) -> list[npt.NDArray[np.float64]]:
    """Per molecule: atoms, and the sum of x over them; padding adds nothing to either."""
    atoms = (net_input["atom_codes"][..., 0] > 0).sum(1)
    return list(np.stack([atoms.numpy(), net_input["coords"][..., 0].sum(1).numpy()], 1))


@pytest.mark.parametrize(
    ("sizes", "batch_size", "pairs", "ends"),
    [
        ([1, 2, 3, 4, 5], 2, 1000, [2, 4, 5]),
        ([1, 2, 3, 4, 5], 9, 27, [3, 4, 5]),  # 3 x 3^2 fit, a fourth of 4^2 does not
        ([9, 9], 9, 27, [1, 2]),  # one alone is too large, and still a batch
        ([], 9, 27, []),
    ],
)
def test_batches_are_cut_by_count_and_by_pairs(
    sizes: list[int], batch_size: int, pairs: int, ends: list[int]
) -> None:
    batches = list(cut(sizes, batch_size, pairs))
    assert [batch.stop for batch in batches] == ends
    assert [batch.start for batch in batches] == [0, *ends][: len(ends)]


@pytest.mark.parametrize("window", [1, 3, 100])
def test_results_stand_in_the_order_of_the_input(window: int) -> None:
    sizes = [5, 2, 9, 2, 7, 1, 4]
    got = run(iter(make_records(sizes)), both, sizes_and_places, CPU, 2, window)
    assert [int(value[0]) for value in got] == sizes


def test_conformers_are_averaged() -> None:
    record = make_record(4, conformers=3)
    (value,) = run([record], both, sizes_and_places, CPU, 2)
    assert value[1] == pytest.approx(record.coords[:, :, 0].sum(1).mean(), rel=1e-5)


def test_records_are_taken_a_window_at_a_time() -> None:
    taken = []

    def source() -> Iterator[Any]:
        for record in make_records([2] * 10):
            taken.append(record.row)
            yield record

    next(run(source(), both, sizes_and_places, CPU, 2, window=4))
    assert taken == [0, 1, 2, 3]


def test_what_cannot_be_is_one_line() -> None:
    with pytest.raises(MoleblendError, match="a batch size of 0: give 1 or more"):
        list(run(make_records([2]), both, sizes_and_places, CPU, 0))
