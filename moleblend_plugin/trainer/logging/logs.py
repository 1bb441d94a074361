"""Where a run reports: log lines on standard output, ``train.jsonl``, experiment trackers, a live line."""

from __future__ import annotations

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.run_files import EVENT_LOG
from moleblend_plugin.trainer.logging import log_lines, metrics
from moleblend_plugin.trainer.logging.live_line import LiveLine
from moleblend_plugin.trainer.logging.meters import Number
from moleblend_plugin.trainer.logging.trackers import build_trackers

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s | %(levelname)s | %(name)s | %(message)s"


class StandardOutput(logging.StreamHandler[TextIO]):
    """Handler that looks standard output up at every line, so that a live line can print above itself."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(logging.Formatter(LOG_FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard output of this moment."""
        return sys.stdout

    def handleError(self, record: logging.LogRecord) -> None:
        """Continue silently where the reader of the log has gone (``| head``); training outlives it."""
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  stays open to the end
        else:
            super().handleError(record)


def start_logging(is_first: bool) -> None:
    """Send log lines to standard output: all of the first process, warnings of the others."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, StandardOutput)]:
        root.removeHandler(handler)
    root.addHandler(StandardOutput())
    root.setLevel(logging.INFO if is_first else logging.WARNING)


@contextmanager
def root_logger_kept() -> Iterator[None]:
    """Give the root logger back as it was, to a notebook that called a command line."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        for handler in [handler for handler in root.handlers if handler not in handlers]:
            root.removeHandler(handler)
        for handler in [handler for handler in handlers if handler not in root.handlers]:
            root.addHandler(handler)
        root.setLevel(level)


class Reporter:
    """Reports of one run; silent in processes other than the first.

    Args:
        args: the run's options.
        is_first: whether this process reports.
        total: updates of the whole run, for the live line; 0 where no end is known.

    Raises:
        MoleblendError: a tracker is wanted but not installed.
    """

    def __init__(self, args: Namespace, is_first: bool, total: int) -> None:
        self.enabled = is_first
        wanted = args.log_format or ("simple" if args.no_progress_bar else "tqdm")
        live = wanted == "tqdm" and is_first and sys.stderr.isatty()
        self.format = "live" if live else ("simple" if wanted == "tqdm" else wanted)
        self.live = LiveLine(total) if live else None
        self.path = None if args.no_save or not is_first else Path(args.save_dir) / EVENT_LOG
        self.trackers = build_trackers(args) if is_first else []

    def start(self) -> None:
        """Begin with the experiment trackers.

        Raises:
            MoleblendError: one of them does not start.
        """
        for tracker in self.trackers:
            tracker.start()

    def interval(self, epoch: int, done: int, size: int, extra: dict[str, Number]) -> None:
        """Report the ``train_inner`` aggregation of a log interval.

        Args:
            epoch: number of the epoch.
            done: updates made in it.
            size: updates it has.
            extra: further values.
        """
        meters = metrics.get_meters("train_inner")
        shown = meters.get_smoothed_values() | extra
        exact = meters.get_smoothed_values(rounded=False) | extra
        if self.format == "simple":
            self._line("train_inner", log_lines.interval_line(epoch, done, size, shown))
        elif self.format == "json":
            self._line("train_inner", log_lines.interval_json(epoch, done, size, shown))
        self._keep("train_inner", epoch, exact)

    def summary(
        self, tag: str, epoch: int, shown: log_lines.Stats, exact: log_lines.Stats, subset: str = ""
    ) -> None:
        """Report an epoch (``train``) or a validation.

        Args:
            tag: ``train`` or the name of a subset.
            epoch: number of the epoch.
            shown: rounded values.
            exact: the same, exact.
            subset: name of the subset, empty for training.
        """
        note = f"valid on '{subset}' subset" if subset else ""
        if self.format == "json":
            self._line(tag, log_lines.summary_json(epoch, tag, shown))
        elif self.format != "none":
            self._line(tag, log_lines.summary_line(epoch, shown, note))
        self._keep("valid" if subset else "train", epoch, exact, subset)

    def updated(self, num_updates: int) -> None:
        """Move the live line on."""
        if self.live is not None:
            self.live.show(num_updates, metrics.get_meters("train_inner"))

    def close(self, completed: bool = True) -> None:
        """Finish the live line and the trackers; ``completed`` says whether the run reached its end."""
        if self.live is not None:
            self.live.stop()
        for tracker in self.trackers:
            try:
                tracker.close(completed)
            except tracker.errors as error:
                logger.warning("%s could not be closed: %s", tracker.name, error)

    def _line(self, tag: str, text: str) -> None:
        if self.enabled:
            logging.getLogger(tag).info(text)

    def _keep(self, event: str, epoch: int, stats: log_lines.Stats, subset: str = "") -> None:
        if self.path is not None:
            try:
                with self.path.open("a", encoding="utf-8") as stream:
                    stream.write(log_lines.event_json(event, epoch, stats, subset) + "\n")
            except OSError as error:
                raise MoleblendError(
                    f"cannot write {str(self.path)!r} ({error.strerror}): "
                    "make room or choose another --save-dir"
                ) from error
        for tracker in list(self.trackers):
            try:
                tracker.write(subset or event, stats, int(stats.get("num_updates") or 0))
            except tracker.errors as error:
                self.trackers.remove(tracker)
                logger.warning(
                    "%s takes no more values (%s): the run continues, and %s holds all of them",
                    tracker.name, error, EVENT_LOG,
                )  # fmt: skip
