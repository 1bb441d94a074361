"""Signs of collapse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from moleblend_plugin.metrics.collapse import alarms, anchor_perplexity, effective_rank, spread


def test_values_by_hand() -> None:
    assert spread(torch.tensor([[1.0, 0.0], [3.0, 0.0]])) == pytest.approx(math.sqrt(2) / 2)
    assert effective_rank(torch.cat((torch.eye(4), -torch.eye(4)))) == pytest.approx(4)
    assert effective_rank(torch.tensor([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])) == pytest.approx(1)
    assert anchor_perplexity(torch.eye(5)) == pytest.approx(5)
    assert anchor_perplexity(torch.tensor([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(1)


@pytest.mark.parametrize("measure", [spread, effective_rank])
def test_one_molecule_has_no_spread(measure: Callable[..., Any]) -> None:
    assert math.isnan(measure(torch.ones(1, 3)))


def test_alarms_name_what_has_collapsed() -> None:
    """The limits of acceptance test 6."""
    well = {"spread_2d": 0.06, "effective_rank": 17.0, "anchor_perplexity": 33.0}
    assert alarms(well, rows=300, width=256, anchors=128) == []
    ill = {"spread_2d": 0.05, "effective_rank": 16.0, "anchor_perplexity": 32.0}
    told = alarms(ill, rows=300, width=256, anchors=128)
    assert [text.split()[0] for text in told] == list(ill)
    assert told[0] == "spread_2d 0.05 is not above 0.05"


def test_few_rows_have_a_small_rank() -> None:
    assert alarms({"effective_rank": 3.0}, rows=17, width=256, anchors=8) == []
