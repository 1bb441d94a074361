"""Running values: averages, rates and stopwatches. Their states keep Uni-Core's checkpoint layout."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Number = int | float
Loggable = Number | np.number[Any] | torch.Tensor | None
"""What losses log: numbers, NumPy's, tensors of one element."""


def as_number(value: Loggable) -> Number | None:
    """A plain number from a number, a NumPy scalar or a tensor of one element."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, torch.Tensor):
        return value.item()
    return float(value)


class AverageMeter:
    """Weighted mean; with no weight so far, the latest value."""

    def __init__(self, round: int | None = None) -> None:
        self.round = round
        self.val: Number | None = None
        self.sum: Number = 0
        self.count: Number = 0

    def update(self, value: Loggable, weight: Loggable = 1) -> None:
        """Add ``value`` with ``weight``; weight 0 shows the latest value."""
        number, factor = as_number(value), as_number(weight)
        if number is None or factor is None:
            return
        self.val = number
        if factor > 0:
            self.sum += number * factor
            self.count += factor

    @property
    def avg(self) -> Number | None:
        """The mean, or the latest value where nothing has weight."""
        return self.sum / self.count if self.count > 0 else self.val

    value = avg

    def reset(self) -> None:
        """Forget everything."""
        self.val, self.sum, self.count = None, 0, 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"val": self.val, "sum": self.sum, "count": self.count, "round": self.round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what a checkpoint kept."""
        self.val = as_number(state["val"])
        self.sum = as_number(state["sum"]) or 0
        self.count = as_number(state["count"]) or 0
        self.round = state.get("round")


class TimeMeter:
    """Events per second since the last reset."""

    def __init__(self, round: int | None = None) -> None:
        self.round = round
        self.reset()

    def reset(self) -> None:
        """Start counting now."""
        self.n: Number = 0
        self.init = 0.0
        self.start = time.perf_counter()

    def update(self, amount: Number = 1) -> None:
        """Count ``amount`` events."""
        self.n += amount

    @property
    def elapsed_time(self) -> float:
        """Seconds since the last reset."""
        return self.init + time.perf_counter() - self.start

    @property
    def avg(self) -> Number:
        """Events per second."""
        return self.n / max(self.elapsed_time, 1e-9)

    value = avg

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"init": self.elapsed_time, "n": self.n, "round": self.round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what a checkpoint kept; the clock continues from there."""
        self.reset()
        self.init = float(state["init"])
        self.n = as_number(state["n"]) or 0
        self.round = state.get("round")


class StopwatchMeter:
    """Total seconds between starts and stops; while nothing was stopped yet, seconds since the start."""

    def __init__(self, round: int | None = None) -> None:
        self.round = round
        self.sum = 0.0
        self.n: Number = 0
        self.start_time: float | None = None

    def start(self) -> None:
        """Start the watch."""
        self.start_time = time.perf_counter()

    def stop(self, n: Number = 1) -> None:
        """Stop the watch and add ``n`` rounds."""
        if self.start_time is not None:
            self.sum += time.perf_counter() - self.start_time
            self.n += n

    def reset(self) -> None:
        """Forget the sum and start the watch."""
        self.sum, self.n = 0.0, 0
        self.start()

    @property
    def elapsed_time(self) -> float:
        """Seconds since the last start."""
        return 0.0 if self.start_time is None else time.perf_counter() - self.start_time

    @property
    def avg(self) -> Number:
        """Seconds per round, or all seconds where no round was counted."""
        return self.sum / self.n if self.n > 0 else self.sum

    @property
    def value(self) -> Number:
        """The value to show."""
        return self.avg if self.sum > 0 else self.elapsed_time

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"sum": self.sum, "n": self.n, "round": self.round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what a checkpoint kept; the watch stands still."""
        self.sum = float(state["sum"])
        self.n = as_number(state["n"]) or 0
        self.start_time = None
        self.round = state.get("round")


class DerivedMeter:
    """A value computed from other meters when it is read."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.round = None
