"""The live line of a terminal: updates, molecules per second, every loss term, time left."""

from __future__ import annotations

import sys
import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from moleblend_plugin.trainer.logging.meters import TimeMeter
from moleblend_plugin.trainer.logging.metrics import MetersDict

REFRESH_SECONDS = 0.2

_OWN = frozenset(
    [
        "bsz",
        "ups",
        "lr",
        "gnorm",
        "clip",
        "num_updates",
        "train_wall",
        "data_wait",
        "wall",
        "loss_scale",
        "sample_size",
    ]
)
"""Values of the trainer; all others are the loss's terms."""


def terms_text(meters: MetersDict) -> str:
    """The loss's terms of an aggregation: ``loss 3.21  spd_loss 1.02``."""
    values = {key: value for key, value in meters.get_smoothed_values().items() if key not in _OWN}
    return "  ".join(f"{key} {value:.4g}" for key, value in values.items() if value is not None)


def molecules_per_second(meters: MetersDict) -> float:
    """Samples per update times updates per second, 0 before the second update."""
    ups = meters.get("ups")
    if "bsz" not in meters or not isinstance(ups, TimeMeter):
        return 0.0
    return float(meters.get_smoothed_value("bsz", rounded=False) or 0) * float(ups.avg)


class LiveLine:
    """Updates, rate and time left, with the terms below; log lines are printed above.

    Args:
        total: updates of the whole run, 0 where no end is known.
    """

    def __init__(self, total: int) -> None:
        console = Console(stderr=True, markup=False, emoji=False)
        self.progress = Progress(
            TextColumn("update"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[rate]} molecules/s"),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
        )
        self.bar = self.progress.add_task("train", total=total or None, rate="-")
        self.terms = Text()
        self.live = Live(
            Group(self.progress, self.terms),
            console=console,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=False,
        )
        self._shown_at = 0.0
        self.live.start()

    def show(self, num_updates: int, meters: MetersDict) -> None:
        """Show the number of updates and the values of an aggregation, a few times per second at most."""
        now = time.monotonic()
        if now - self._shown_at < REFRESH_SECONDS:
            return
        self._shown_at = now
        rate = molecules_per_second(meters)
        self.progress.update(self.bar, completed=num_updates, rate=f"{rate:.0f}" if rate else "-")
        self.terms.plain = terms_text(meters)

    def stop(self) -> None:
        """Leave the line as it is."""
        self.live.stop()
