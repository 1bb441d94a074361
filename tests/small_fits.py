"""What tests of small fits share."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import moleblend_plugin.inference.estimators.ensemble as ensemble_module
from moleblend_plugin.inference.stack_fit import fit_stack


def forests_of(trees: int) -> Callable[[], Iterator[None]]:
    """A fixture of a module's tests, in which the forests of stacks have so many trees."""

    @pytest.fixture(scope="module", autouse=True)
    def small_forests() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ensemble_module, "fit_stack", partial(fit_stack, numbers={"n_estimators": trees}))
            yield

    return small_forests


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
