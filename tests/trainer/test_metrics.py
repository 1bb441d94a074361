"""Aggregations and their states."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.logging.meters import StopwatchMeter, TimeMeter, as_number


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    metrics.reset()
    yield
    metrics.reset()


def test_weighted_mean_in_every_open_aggregation() -> None:
    with metrics.aggregate("train") as train:
        metrics.log_scalar("loss", 1.0, weight=1)
        with metrics.aggregate("train_inner") as inner:
            metrics.log_scalar("loss", 4.0, weight=3)
    assert train.get_smoothed_value("loss") == 3.25
    assert inner.get_smoothed_value("loss") == 4.0
    assert metrics.get_meters("default").get_smoothed_value("loss") == 3.25


def test_weight_zero_shows_the_latest_value() -> None:
    with metrics.aggregate() as meters:
        metrics.log_scalar("lr", 0.1, weight=0)
        metrics.log_scalar("lr", 0.3, weight=0)
    assert meters.get_smoothed_value("lr") == 0.3


def test_a_new_root_is_heard_by_nobody_else() -> None:
    with metrics.aggregate("train") as train:
        with metrics.aggregate(new_root=True) as valid:
            metrics.log_scalar("loss", 9.0)
        metrics.log_scalar("loss", 1.0)
    assert valid.get_smoothed_value("loss") == 9.0
    assert train.get_smoothed_value("loss") == 1.0
    assert metrics.get_meters("default").get_smoothed_value("loss") == 1.0


def test_an_aggregation_opened_twice_counts_once() -> None:
    with metrics.aggregate("train"), metrics.aggregate("train") as train:
        metrics.log_scalar("loss", 2.0)
    assert train["loss"].count == 1


def test_an_error_inside_closes_the_aggregation() -> None:
    with pytest.raises(RuntimeError, match="stop"), metrics.aggregate("train"):
        raise RuntimeError("stop")
    metrics.log_scalar("loss", 1.0)
    assert "loss" not in metrics.get_meters("train")


def test_display_order_rounding_and_hidden_names() -> None:
    with metrics.aggregate() as meters:
        metrics.log_scalar("late", 1.23456, priority=500, round=2)
        metrics.log_scalar("_hidden", 1)
        metrics.log_scalar("early", 2.0)
    assert meters.get_smoothed_values() == {"early": 2.0, "late": 1.23}
    assert list(meters.get_smoothed_values()) == ["early", "late"]
    assert meters.get_smoothed_values(rounded=False)["late"] == 1.23456


def test_derived_values_follow_the_others() -> None:
    with metrics.aggregate() as meters:
        metrics.log_scalar("loss", 3.0)
        metrics.log_derived("double", lambda found: 2 * found["loss"].avg)
        metrics.log_scalar("loss", 5.0)
    assert meters.get_smoothed_value("double") == 8.0


def test_numbers_from_tensors_and_numpy() -> None:
    assert as_number(torch.tensor(2.5)) == 2.5
    assert as_number(np.float32(0.5)) == 0.5
    assert as_number(3) == 3
    assert isinstance(as_number(3), int)
    assert as_number(None) is None


def test_speed_counts_from_its_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    with metrics.aggregate() as meters:
        for _ in range(5):
            metrics.log_speed("ups")
            clock[0] += 0.5
    assert meters.get_smoothed_value("ups") == 4 / 2.5


def test_stopwatch_adds_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    with metrics.aggregate() as meters:
        for _ in range(2):
            metrics.log_start_time("train_wall")
            clock[0] += 1.5
            metrics.log_stop_time("train_wall")
            clock[0] += 10
    assert meters.get_smoothed_value("train_wall") == 3.0


def test_state_round_trip_keeps_averages_order_and_layout() -> None:
    with metrics.aggregate("train"):
        metrics.log_scalar("b", 1.0, weight=2, priority=20, round=3)
        metrics.log_scalar("a", torch.tensor(4.0), weight=1)
        metrics.log_speed("ups")
        metrics.log_derived("derived", lambda found: 1.0)
    state = metrics.state_dict()
    kinds = {key: (priority, kind) for priority, key, kind, _ in state["train"]}
    assert kinds == {"b": (20, "AverageMeter"), "a": (10, "AverageMeter"), "ups": (30, "TimeMeter")}
    metrics.reset()
    metrics.load_state_dict(state)
    with metrics.aggregate("train") as train:
        metrics.log_scalar("b", 4.0, weight=1)
    assert list(train.get_smoothed_values()) == ["a", "b", "ups"]
    assert train.get_smoothed_value("b") == 2.0
    assert metrics.get_meters("default").get_smoothed_value("b") == 2.0


def test_state_of_uni_core_with_tensors_is_taken() -> None:
    meter = {"val": torch.tensor(2.0), "sum": torch.tensor(6.0), "count": torch.tensor(3.0), "round": 3}
    metrics.load_state_dict({"train": [(400, "gnorm", "AverageMeter", meter)]})
    assert metrics.get_meters("train").get_smoothed_value("gnorm") == 2.0


def test_clock_states_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    first = TimeMeter()
    first.update(6)
    clock[0] = 2.0
    second = TimeMeter()
    second.load_state_dict(first.state_dict())
    clock[0] = 3.0
    assert second.value == 2.0
    watch = StopwatchMeter()
    watch.load_state_dict({"sum": 4.0, "n": 2, "round": 1})
    assert watch.value == 2.0
