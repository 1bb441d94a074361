"""How much is broken: little in ``make test``, the issue's numbers in ``make faults``."""

from __future__ import annotations

import os

import pytest

LONG = os.environ.get("MOLEBLEND_FAULTS") == "long"


@pytest.fixture
def flips() -> int:
    """Flipped bytes per file."""
    return 1000 if LONG else 100


@pytest.fixture
def rounds() -> int:
    """Kills or signals per kind."""
    return 50 if LONG else 1
