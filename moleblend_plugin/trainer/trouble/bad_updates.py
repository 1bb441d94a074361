"""Updates whose numbers are not finite: skipped, counted, written down, and too many in a row end the run."""

from __future__ import annotations

import json
import logging
import os
from argparse import Namespace
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, cast

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.run_files import BAD_UPDATE_LOG
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.trouble.nonfinite import Cause, Diagnosis

logger = logging.getLogger("moleblend-train")

BAD_UPDATES = "bad_updates"
IN_A_ROW = "_bad_updates_in_a_row"
"""Counts live in the averages that checkpoints keep, so that they go on after a restart; ``_`` hides one."""


class Meters(Protocol):
    """A trainer's metrics, as far as counts need them."""

    def get_meters(self, name: str, /) -> Any:  # noqa: ANN401  either trainer's
        """Meters of a named aggregation."""

    def log_scalar(self, key: str, value: float, /, *, weight: float, priority: int) -> None:
        """Log a value."""


class TooManyBadUpdates(MoleblendError):
    """The run ends; its weights are those before the bad updates, and worth keeping."""


class Diverged(MoleblendError):
    """The run ends; its weights can do no molecule any more, and must not replace an earlier checkpoint."""


@dataclass(frozen=True, slots=True)
class BadUpdate:
    """One line of :data:`BAD_UPDATE_LOG`.

    Attributes:
        update: number that the update would have had, from 1.
        epoch: epoch of its batches.
        where: what was not finite first.
        indices: items of its batches.
        row_ids: their rows in the source files, where the data set knows them.
        suspects: those items whose loss alone is not finite.
        cause: what is to blame, "" where that is open.
        terms: names of the loss's terms that are not finite, where a loss has terms.
    """

    update: int
    epoch: int
    where: str
    indices: list[int]
    row_ids: list[str]
    suspects: list[int]
    cause: Cause = ""
    terms: list[str] = field(default_factory=list)


_BLAMED: Final[tuple[Cause, ...]] = ("labels", "model", "molecules")
"""Of the processes' findings the first of these counts."""


def row_ids_of(dataset: object, indices: list[int]) -> list[str]:
    """What ``dataset.row_ids(indices)`` gives, empty where a data set has no such method."""
    known = getattr(dataset, "row_ids", None)
    return [] if known is None else [str(name) for name in known(indices)]


def merge_findings(parts: list[tuple[Diagnosis, list[str]]], update: int, epoch: int) -> BadUpdate:
    """The findings of all processes as one; a module says more than a parameter."""
    found = [part for part, _ in parts]
    where = next((part.where for part in found if part.in_forward), found[0].where)
    return BadUpdate(
        update=update,
        epoch=epoch,
        where=where,
        indices=[index for part in found for index in part.indices],
        row_ids=[name for _, names in parts for name in names],
        suspects=[index for part in found for index in part.suspects],
        cause=next((cause for cause in _BLAMED if any(part.cause == cause for part in found)), ""),
        terms=list(dict.fromkeys(name for part in found for name in part.terms)),
    )


class BadUpdates:
    """Counts skipped updates and writes them down.

    Args:
        args: the run's options.
        is_first: whether this process writes and tells.
        meters: the metrics of the trainer that runs, which keep the counts (default: the embedded one's).
    """

    def __init__(self, args: Namespace, is_first: bool, meters: Meters | None = None) -> None:
        self.meters = meters or cast("Meters", metrics)
        self.limit = max(args.max_bad_updates, 1)
        self.path = Path(args.save_dir) / BAD_UPDATE_LOG if is_first and not args.no_save else None

    def note(self, bad: BadUpdate) -> None:
        """Count a skipped update.

        Raises:
            TooManyBadUpdates: too many in a row.
            Diverged: likewise, and the model is to blame.
            MoleblendError: the file cannot be written.
        """
        total, in_a_row = self._count(BAD_UPDATES) + 1, self._count(IN_A_ROW) + 1
        self._log(total, in_a_row)
        if self.path is not None:
            _append(self.path, {name: value for name, value in asdict(bad).items() if name != "cause"})
        terms = f" (terms: {', '.join(bad.terms)})" if bad.terms else ""
        what = f"loss or gradients are not finite at update {bad.update}, first in {bad.where}{terms}"
        rows = f"; rows: {self.path}" if self.path and bad.cause != "model" else ""
        if in_a_row >= self.limit:
            times = f" ({in_a_row} times in a row)" if in_a_row > 1 else ""
            end = Diverged if bad.cause == "model" else TooManyBadUpdates
            raise end(
                f"{what}{times}: {_remedy(bad)}{rows}; "
                "--max-bad-updates says how many updates in a row may be skipped"
            )
        blame = f"; {_remedy(bad)}" if bad.cause in ("model", "labels") else ""
        logger.warning(f"{what}: this update is skipped ({total} so far, {in_a_row} in a row){blame}{rows}")

    def good(self) -> None:
        """Begin to count again: an update went well."""
        if total := self._count(BAD_UPDATES):
            self._log(total, 0)

    def _count(self, key: str) -> int:
        meters = self.meters.get_meters("default")
        return int(meters.get_smoothed_value(key) or 0) if key in meters else 0

    def _log(self, total: int, in_a_row: int) -> None:
        self.meters.log_scalar(BAD_UPDATES, total, weight=0, priority=600)
        self.meters.log_scalar(IN_A_ROW, in_a_row, weight=0, priority=601)


def _remedy(bad: BadUpdate) -> str:
    """What is to blame and what helps."""
    if bad.cause == "model":
        return (
            "the model has diverged, it fails on other molecules too: lower --lr or set --clip-norm, and "
            "begin from a checkpoint before"
        )
    if bad.cause == "labels":
        return "labels of the batch are infinite: correct them in the table, and build the store again"
    if bad.cause == "molecules":
        return (
            f"{len(bad.suspects)} of the {len(bad.indices)} molecules alone, lower --lr, set --clip-norm, or "
            "look at the data"
        )
    return "lower --lr, set --clip-norm, or look at the data"


def _append(path: Path, entry: dict[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise MoleblendError(
            f"cannot write {str(path)!r} ({error.strerror}): make room or choose another --save-dir"
        ) from error
