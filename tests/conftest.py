"""Tests run on the CPU, as in continuous integration, also where there are GPUs.

Several processes would want as many of them. Set CUDA_VISIBLE_DEVICES for tests/models, which can use one.
"""

import os
import random

import numpy as np
import pytest
import torch

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers for a test whichever tests came before it in its process."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global one that code under test may use
    torch.manual_seed(0)
