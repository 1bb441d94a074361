"""Learning rates against values worked out by hand from Uni-Core's formulas."""

from __future__ import annotations

import math
from argparse import ArgumentParser
from typing import Any

import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.loop.schedules import (
    SCHEDULES,
)


def schedule(kind: str, *flags: float | str, lr: tuple[float, ...] = (1.0,), total: int = 0) -> Any:
    parser = ArgumentParser()
    SCHEDULES[kind].add_args(parser)
    args = parser.parse_args([str(flag) for flag in flags])
    args.lr = list(lr)
    return SCHEDULES[kind](args, total)


def test_fixed_without_warmup_is_constant() -> None:
    assert [schedule("fixed", lr=(0.3,)).at(n) for n in (0, 1, 100)] == [0.3, 0.3, 0.3]


def test_fixed_warmup_starts_above_zero() -> None:
    rates = [schedule("fixed", "--warmup-updates", 4, lr=(0.8,)).at(n) for n in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


def test_fixed_rate_per_epoch_then_annealed() -> None:
    fixed = schedule("fixed", "--force-anneal", 4, "--lr-shrink", 0.5, lr=(1.0, 0.6))
    rates = []
    for epoch in range(1, 7):
        fixed.begin_epoch(epoch)
        rates.append(fixed.at(10 * epoch))
    assert rates == [1.0, 0.6, 0.6, 0.3, 0.15, 0.075]


def test_polynomial_gives_the_first_update_zero_with_warmup() -> None:
    rates = [
        schedule("polynomial_decay", "--warmup-updates", 2, "--total-num-update", 6).at(n) for n in range(8)
    ]
    assert rates == [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


def test_polynomial_without_warmup_power_and_end() -> None:
    decay = schedule("polynomial_decay", "--total-num-update", 4, "--power", 2, "--end-learning-rate", 0.2)
    assert [decay.at(n) for n in range(6)] == pytest.approx([1.0, 0.65, 0.4, 0.25, 0.2, 0.2])


def test_polynomial_warmup_ratio_counts_all_updates() -> None:
    decay = schedule("polynomial_decay", "--warmup-ratio", 0.25, total=8)
    assert [decay.at(n) for n in (0, 1, 2, 5, 8)] == [0.0, 0.5, 1.0, 0.5, 0.0]


def test_polynomial_annealing_goes_on_from_the_present_rate() -> None:
    decay = schedule("polynomial_decay", "--total-num-update", 4, "--force-anneal", 2)
    decay.begin_epoch(1)
    assert decay.at(1) == 0.75
    decay.begin_epoch(2)
    assert decay.at(2) == 0.375
    again = schedule("polynomial_decay", "--total-num-update", 4, "--force-anneal", 2)
    again.load_state_dict(decay.state_dict())
    assert again.at(3) == decay.at(3)


def test_cosine_is_half_way_in_the_middle() -> None:
    cosine = schedule("cosine", "--warmup-updates", 2, "--min-lr", 0.2, total=12)
    assert [cosine.at(n) for n in (0, 1, 2, 7, 12, 20)] == pytest.approx([0.2, 0.6, 1.0, 0.6, 0.2, 0.2])


def test_cosine_periods_grow_and_shrink() -> None:
    # Periods 4 and 8 updates long; the second starts at half the rate.
    cosine = schedule("cosine", "--t-mult", 2, "--lr-period-updates", 4, "--lr-shrink", 0.5, total=12)
    expected = [1.0, 0.5, 0.5, 0.25]
    assert [cosine.at(n) for n in (0, 2, 4, 8)] == pytest.approx(expected)


def test_cosine_without_room_after_the_warmup_is_refused() -> None:
    with pytest.raises(MoleblendError, match="warm-up of 5 updates leaves none of 5"):
        schedule("cosine", "--warmup-updates", 5, total=5)


def test_inverse_square_root() -> None:
    decay = schedule("inverse_sqrt", "--warmup-updates", 4)
    assert [decay.at(n) for n in (0, 1, 3, 4, 16, 100)] == pytest.approx([0.0, 0.25, 0.75, 1.0, 0.5, 0.2])


def test_best_metric_is_kept() -> None:
    decay = schedule("inverse_sqrt")
    for loss in (3.0, None, 2.0, 5.0):
        decay.end_epoch(loss)
    other = schedule("inverse_sqrt")
    other.load_state_dict(decay.state_dict())
    assert other.best == 2.0


def test_cosine_formula_at_every_update() -> None:
    cosine = schedule("cosine", "--min-lr", 0.1, total=10)
    expected = [0.1 + 0.45 * (1 + math.cos(math.pi * n / 10)) for n in range(11)]
    assert [cosine.at(n) for n in range(11)] == pytest.approx(expected)
