"""Tests run on the CPU, as in continuous integration, also where there are GPUs.

Several processes would want as many of them. Set CUDA_VISIBLE_DEVICES for tests/models, which can use one.
"""

import os
import random
from itertools import groupby

import numpy as np
import pytest
import torch

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The last test of each module first: one that needs what another left behind fails."""
    parser.addoption("--backwards", action="store_true", help="run the tests of each module in reverse")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """See :func:`pytest_addoption`."""
    if config.getoption("--backwards"):
        by_module = groupby(items, key=lambda item: item.location[0])
        items[:] = [item for _, module in by_module for item in reversed(list(module))]


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers for a test whichever tests came before it in its process."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global one that code under test may use
    torch.manual_seed(0)
