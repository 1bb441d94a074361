"""Log lines in Uni-Core's formats: pure functions from values to text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from moleblend_plugin.trainer.logging.meters import Number

Stats = Mapping[str, Number | None]


def show(value: Number | None) -> str:
    """A value as Uni-Core shows it: six significant digits."""
    return "None" if value is None else f"{value:g}"


def interval_line(epoch: int, done: int, size: int, stats: Stats) -> str:
    """Line of a log interval: ``epoch 001:     20 / 24 loss=7.102, ...``.

    Args:
        epoch: number of the epoch.
        done: updates made in it.
        size: updates it has.
        stats: values in the order of display.
    """
    shown = ", ".join(f"{key}={show(value)}" for key, value in stats.items())
    return f"epoch {epoch:03d}:  {done:5d} / {size:d} {shown}"


def summary_line(epoch: int, stats: Stats, note: str = "") -> str:
    """Line of an epoch or a validation: ``epoch 001 | valid on 'valid' subset | loss 7.109 | ...``."""
    parts = [
        f"epoch {epoch:03d}",
        *([note] if note else []),
        *(f"{key} {show(value)}" for key, value in stats.items()),
    ]
    return " | ".join(parts)


def interval_json(epoch: int, done: int, size: int, stats: Stats) -> str:
    """Line of a log interval as JSON; values are strings, as Uni-Core writes them."""
    update = round(epoch - 1 + done / size, 3)
    return json.dumps({"epoch": epoch, "update": update} | {key: show(value) for key, value in stats.items()})


def summary_json(epoch: int, tag: str, stats: Stats) -> str:
    """Line of an epoch or a validation as JSON; keys carry the tag."""
    return json.dumps({"epoch": epoch} | {f"{tag}_{key}": show(value) for key, value in stats.items()})


def event_json(event: str, epoch: int, stats: Stats, subset: str = "") -> str:
    """One line of ``train.jsonl``: exact values as numbers, ``null`` for those that are not finite."""
    numbers = {key: value if value is None or math.isfinite(value) else None for key, value in stats.items()}
    head: dict[str, object] = {"event": event, "epoch": epoch}
    return json.dumps(head | ({"subset": subset} if subset else {}) | numbers)
