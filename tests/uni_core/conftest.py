"""Stores, and one run under Uni-Core that several tests compare with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.tasks.test_pretrain import write_stores
from tests.trainers import NO_DROPOUT, UNICORE, train

SETTINGS = [
    *(*NO_DROPOUT, "--ema-decay", "0.9", "--adam-eps", "1e-5"),
    *("--batch-size-valid", "2", "--save-interval-updates", "12"),
]
"""64 molecules in batches of 8: update 12 is in the middle of the second epoch.

With Adam's eps of 1e-8, a gradient that is zero but for rounding moves its weight as far as any other.
"""

Weights = dict[str, Tensor]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of 64 and 5 molecules."""
    sizes = {"train": [3 + i % 9 for i in range(64)], "valid": [4, 9, 1, 6, 7]}
    return write_stores(tmp_path_factory.mktemp("store"), sizes)


@pytest.fixture(scope="session")
def straight(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """24 updates under Uni-Core without a break, and their log."""
    folder = tmp_path_factory.mktemp("straight")
    return folder, train(UNICORE, data, folder, *SETTINGS, "--max-update", 24)


def distance(left: Weights, right: Weights) -> float:
    """Norm of the difference of two sets of weights, over the norm of the second."""
    assert set(left) == set(right)
    difference = torch.stack([(left[name] - value).norm() for name, value in right.items()]).norm()
    return float(difference / torch.stack([value.norm() for value in right.values()]).norm())
