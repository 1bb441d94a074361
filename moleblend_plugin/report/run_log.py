"""Reading what a run logged: numbers per term and update, from either host.

Two sources hold the same facts:

* ``train.jsonl`` in a run's folder, one JSON object per event, written by the embedded trainer;
* a captured ``--log-format json`` log of Uni-Core, where each JSON object follows a prefix
  ``<time> | INFO | <tag> | ``, values are strings, and end-of-epoch keys carry the tag (``valid_loss``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.pretrain import PRETRAIN_TERMS
from moleblend_plugin.losses.structure import RETRIEVAL, STRUCTURE_AWARE, STRUCTURE_TERMS
from moleblend_plugin.losses.term_table import TOTAL, curves_of
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.runs.run_files import EVENT_LOG
from moleblend_plugin.schema import Curve

Points = list[tuple[int, float]]
"""(number of updates, value), in order of updates."""

_UNICORE_LINE = re.compile(r"\| INFO \| (?P<tag>[^|]+?) \| (?P<json>\{.*\})\s*$")
_NOT_TERMS = frozenset({"event", "subset", "epoch", "update", "num_updates"})


CURVES: Final = (
    TOTAL,
    *curves_of((*PRETRAIN_TERMS, STRUCTURE_AWARE, *STRUCTURE_TERMS)),
    *RETRIEVAL.values(),
    *(metric.curve for metric in METRICS.values()),
)
"""What our objectives log, in the order of the figure. Other ``*_loss`` keys follow by name."""


@dataclass(frozen=True, slots=True)
class RunLog:
    """What one run logged.

    Attributes:
        path: the file it was read from.
        train: points per term while training (means over each log interval).
        valid: points per term on the first validation subset that the log names.
        subset: name of that subset, ``""`` where the run never validated.
    """

    path: Path
    train: dict[str, Points]
    valid: dict[str, Points]
    subset: str

    @property
    def updates(self) -> int:
        """Number of updates at the last logged point."""
        return max(points[-1][0] for terms in (self.train, self.valid) for points in terms.values())


@dataclass(frozen=True, slots=True)
class _Event:
    tag: str  # "train_inner", "train", or the name of a validation subset
    values: dict[str, float]  # numbers only, keys without the tag


def read_run_log(run: Path) -> RunLog:
    """Reads the log of a run.

    Args:
        run: a run's folder (its ``train.jsonl`` is read) or a log file of either host.

    Raises:
        MoleblendError: there is no such log, or it holds no logged update.
    """
    path = run / EVENT_LOG if run.is_dir() else run
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise MoleblendError(
            f"{path} does not exist; give a run's folder (--save-dir of moleblend-train) or a captured log"
        ) from None
    except OSError as problem:
        raise MoleblendError(f"{path} cannot be read: {problem.strerror}") from None
    events = list(_events(text))
    if not events:
        raise MoleblendError(
            f"{path} holds no logged update; train longer than --log-interval updates, "
            "or capture Uni-Core's output with --log-format json"
        )
    tags = {event.tag for event in events}
    subset = next((event.tag for event in events if event.tag not in ("train", "train_inner")), "")
    return RunLog(
        path=path,
        train=_points(events, "train_inner" if "train_inner" in tags else "train"),
        valid=_points(events, subset) if subset else {},
        subset=subset,
    )


def logged_curves(log: RunLog) -> tuple[Curve, ...]:
    """The curves that a log holds, known ones first.

    Raises:
        MoleblendError: the log holds no loss at all.
    """
    logged = log.train.keys() | log.valid.keys()
    others = sorted(logged - {curve.key for curve in CURVES})
    curves = (
        *(curve for curve in CURVES if curve.key in logged),
        *(Curve(k, k.replace("_", " "), "as logged") for k in others if re.fullmatch(r"(?!best_).+_loss", k)),
    )
    if not curves:
        raise MoleblendError(
            f"{log.path} logs no loss (it has {', '.join(sorted(logged))}); give a training log"
        )
    return curves


def best_point(curve: Curve, points: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """The best of some points, as (updates, value)."""
    return (max if curve.rises else min)(points, key=lambda point: point[1])


def _points(events: list[_Event], tag: str) -> dict[str, Points]:
    """Points per term of one tag's events; after a restart the later value of an update counts."""
    terms: dict[str, dict[int, float]] = {}
    for event in events:
        if event.tag == tag:
            updates = int(event.values["num_updates"])
            for name in event.values.keys() - _NOT_TERMS:
                terms.setdefault(name, {})[updates] = event.values[name]
    return {name: sorted(terms[name].items()) for name in sorted(terms)}


def _events(text: str) -> Iterator[_Event]:
    """The logged events of a file; other lines (banners, warnings, a torn last line) are not events."""
    for line in text.splitlines():
        found = _UNICORE_LINE.search(line)
        record = _json_object(found["json"] if found else line)
        tag = found["tag"].strip() if found else _own_tag(record)
        values = _numbers(record, prefix=f"{tag}_")
        if tag and values.keys() - _NOT_TERMS and "num_updates" in values:
            yield _Event(tag, values)


def _json_object(text: str) -> dict[str, object]:
    if not text.startswith("{"):
        return {}
    try:
        record = json.loads(text)
    except json.JSONDecodeError:
        return {}  # a line cut off by an interruption
    return record if isinstance(record, dict) else {}


def _own_tag(record: dict[str, object]) -> str:
    """Tag of an event of ``train.jsonl``, ``""`` for events that log no terms."""
    event = str(record.get("event", ""))
    if event == "valid":
        return str(record.get("subset", event))
    return event if event in ("train", "train_inner") else ""


def _numbers(record: dict[str, object], prefix: str) -> dict[str, float]:
    """The finite numbers of a record, text or not; where its keys carry the tag, they lose it."""
    if f"{prefix}num_updates" not in record:
        prefix = ""
    numbers = {}
    for key, value in record.items():
        try:
            number = float(str(value))
        except ValueError:
            continue  # names, "None"
        if math.isfinite(number):
            numbers[key.removeprefix(prefix)] = number
    return numbers
