"""Reading what a run logged: numbers per term and update, from either host.

Two sources hold the same facts:

* ``train.jsonl`` in a run's folder, one JSON object per event, written by the embedded host;
* a captured ``--log-format json`` log of Uni-Core, where each JSON object follows a prefix
  ``<time> | INFO | <tag> | ``, values are strings, and end-of-epoch keys carry the tag (``valid_loss``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moleblend_plugin.errors import MoleblendError

LOG_NAME: Final = "train.jsonl"
"""Name of the log in a run's folder."""

Points = list[tuple[int, float]]
"""(number of updates, value), in order of updates."""

_UNICORE_LINE = re.compile(r"\| INFO \| (?P<tag>[^|]+?) \| (?P<json>\{.*\})\s*$")
_NOT_TERMS = frozenset({"event", "subset", "epoch", "update", "num_updates"})


@dataclass(frozen=True, slots=True)
class Term:
    """One logged quantity: its key in the log, what people call it, its unit, and which way is better."""

    key: str
    title: str
    unit: str
    rises: bool = False

    def best(self, points: Points) -> tuple[int, float]:
        """The best of some points, as (updates, value)."""
        return (max if self.rises else min)(points, key=lambda point: point[1])


TERMS: Final = (
    Term("loss", "total loss", "weighted sum"),
    Term("spd_loss", "shortest path loss", "cross entropy, nats"),
    Term("edge_loss", "bonds on the path loss", "cross entropy, nats"),
    Term("distance_loss", "distance loss", "per pair"),
    Term("direction_loss", "direction loss", "1 - cosine"),
    Term("denoise_loss", "denoising loss", "1 - cosine"),
    Term("spd_accuracy", "shortest path accuracy", "fraction of pairs", rises=True),
    Term("edge_accuracy", "bonds on the path accuracy", "fraction of bonds", rises=True),
    Term("distance_mae", "distance error", "Å, mean absolute"),
    Term("direction_cosine", "direction cosine", "cosine", rises=True),
    Term("denoise_cosine", "denoising cosine", "cosine", rises=True),
)
"""What the pretraining objective logs, in the order of the figure. Other ``*_loss`` keys follow by name."""


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
    path = run / LOG_NAME if run.is_dir() else run
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


def logged_terms(log: RunLog) -> tuple[Term, ...]:
    """The terms that a log holds, known ones first.

    Raises:
        MoleblendError: the log holds no loss at all.
    """
    logged = log.train.keys() | log.valid.keys()
    known = tuple(term for term in TERMS if term.key in logged)
    others = sorted(
        key for key in logged - {term.key for term in TERMS} if re.fullmatch(r"(?!best_).+_loss", key)
    )
    terms = known + tuple(Term(key, key.replace("_", " "), "as logged") for key in others)
    if not terms:
        raise MoleblendError(
            f"{log.path} logs no loss (it has {', '.join(sorted(logged))}); give a training log"
        )
    return terms


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
