"""Metric logging: values go to every open aggregation, each of which has its own meters.

The trainer opens ``default`` (always), ``train`` (an epoch), ``train_inner`` (a log interval) and a fresh one
for every validation subset. Plugins call :func:`log_scalar` and :func:`log_derived` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moleblend_plugin.trainer.logging.meters import (
    AverageMeter,
    DerivedMeter,
    Loggable,
    Number,
    StopwatchMeter,
    TimeMeter,
    as_number,
)

AnyMeter = AverageMeter | TimeMeter | StopwatchMeter | DerivedMeter

_METERS: dict[str, Callable[[], AverageMeter | TimeMeter | StopwatchMeter]] = {
    meter.__name__: meter for meter in (AverageMeter, TimeMeter, StopwatchMeter)
}


class MetersDict(dict[str, AnyMeter]):
    """Meters by name, shown in the order of their priorities (ties: in the order of arrival)."""

    def __init__(self) -> None:
        super().__init__()
        self.priorities: dict[str, int] = {}

    def add(self, key: str, meter: AnyMeter, priority: int) -> None:
        """Add a meter; smaller priorities are shown first."""
        self[key] = meter
        self.priorities[key] = priority

    def names(self) -> list[str]:
        """Names in the order of display; names that start with ``_`` are hidden."""
        shown = [key for key in self if not key.startswith("_")]
        return sorted(shown, key=lambda key: self.priorities[key])

    def get_smoothed_value(self, key: str, rounded: bool = True) -> Number | None:
        """Value of one meter, rounded as its logger asked or exact."""
        meter = self[key]
        value = as_number(meter.function(self)) if isinstance(meter, DerivedMeter) else meter.value
        if value is None or not rounded or meter.round is None:
            return value
        return round(value, meter.round)

    def get_smoothed_values(self, rounded: bool = True) -> dict[str, Number | None]:
        """Values of all meters that are shown, in the order of display."""
        return {key: self.get_smoothed_value(key, rounded) for key in self.names()}

    def reset(self) -> None:
        """Reset every meter."""
        for meter in self.values():
            if not isinstance(meter, DerivedMeter):
                meter.reset()

    def state_dict(self) -> list[tuple[int, str, str, dict[str, Any]]]:
        """(priority, name, class, state) of every meter that is no function of others."""
        meters = [(key, meter) for key, meter in self.items() if not isinstance(meter, DerivedMeter)]
        return [
            (self.priorities[key], key, type(meter).__name__, meter.state_dict()) for key, meter in meters
        ]

    def load_state_dict(self, state: list[tuple[int, str, str, dict[str, Any]]]) -> None:
        """Replace all meters by those of a checkpoint."""
        self.clear()
        for priority, key, class_name, meter_state in state:
            meter = _METERS[class_name]()
            meter.load_state_dict(meter_state)
            self.add(key, meter, priority)


_aggregators: dict[str, MetersDict] = {"default": MetersDict()}
_open: list[MetersDict] = [_aggregators["default"]]


def reset() -> None:
    """Forget all meters (a new run begins)."""
    _aggregators.clear()
    _aggregators["default"] = MetersDict()
    _open[:] = [_aggregators["default"]]


@contextmanager
def aggregate(name: str | None = None, new_root: bool = False) -> Iterator[MetersDict]:
    """Open an aggregation: what is logged inside goes to it and to those already open.

    Args:
        name: a name whose meters live on after the block; ``None`` for a fresh, temporary one.
        new_root: whether aggregations already open hear nothing of it (validation).
    """
    meters = MetersDict() if name is None else _aggregators.setdefault(name, MetersDict())
    before = list(_open)
    if new_root:
        _open[:] = [meters]
    elif not any(meters is other for other in _open):
        _open.append(meters)
    try:
        yield meters
    finally:
        _open[:] = before


def get_meters(name: str) -> MetersDict:
    """Meters of a named aggregation (empty where nothing was logged)."""
    return _aggregators.setdefault(name, MetersDict())


def log_scalar(
    key: str, value: Loggable, weight: Loggable = 1, priority: int = 10, round: int | None = None
) -> None:
    """Log a value; the aggregation shows the weighted mean.

    Args:
        key: name; names that start with ``_`` are not shown.
        value: a number or a tensor of one element.
        weight: weight in the mean; 0 shows the latest value.
        priority: smaller is shown earlier.
        round: digits to show.
    """
    number, factor = as_number(value), as_number(weight)
    for meters in _open:
        if key not in meters:
            meters.add(key, AverageMeter(round), priority)
        meter = meters[key]
        if isinstance(meter, AverageMeter):
            meter.update(number, factor)


def log_derived(key: str, fn: Callable[[MetersDict], Any], priority: int = 20) -> None:
    """Log a value that is computed from other meters whenever it is read: ``fn(meters)``."""
    for meters in _open:
        if key not in meters:
            meters.add(key, DerivedMeter(fn), priority)


def log_speed(key: str, amount: Number = 1, priority: int = 30, round: int | None = None) -> None:
    """Log events per second; the first call of an aggregation starts its clock."""
    for meters in _open:
        meter = meters.get(key)
        if meter is None:
            meters.add(key, TimeMeter(round), priority)
        elif isinstance(meter, TimeMeter):
            meter.update(amount)


def log_start_time(key: str, priority: int = 40, round: int | None = None) -> None:
    """Start a stopwatch."""
    for meters in _open:
        if key not in meters:
            meters.add(key, StopwatchMeter(round), priority)
        meter = meters[key]
        if isinstance(meter, StopwatchMeter):
            meter.start()


def log_stop_time(key: str) -> None:
    """Stop a stopwatch."""
    for meters in _open:
        meter = meters.get(key)
        if isinstance(meter, StopwatchMeter):
            meter.stop(n=0)


def state_dict() -> dict[str, Any]:
    """All named aggregations, in Uni-Core's checkpoint layout."""
    return {name: meters.state_dict() for name, meters in _aggregators.items()}


def load_state_dict(state: dict[str, Any]) -> None:
    """Take over all named aggregations; those open stay open."""
    for name, meters_state in state.items():
        get_meters(name).load_state_dict(meters_state)
