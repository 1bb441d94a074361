"""A run's log of events, ``train.jsonl``, while it is written and afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_events(log: Path) -> Iterator[dict[str, Any]]:
    """The events in order; none without a file, and none for a line that an interruption cut off."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def validations(log: Path) -> Iterator[dict[str, Any]]:
    """Those of validation."""
    return (event for event in read_events(log) if event.get("event") == "valid")
