"""Progress over rows on stderr: rows, rate and time left; a line now and then where it is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from moleblend_plugin.cli._console import plain_console

_LINE_SECONDS: Final = 30.0
_REFRESH_SECONDS: Final = 0.2


class RowProgress:
    """Context manager; call :meth:`update` as often as you like.

    Args:
        name: of the command.
        fraction: how far the work has come, 0 to 1, when so many rows are done.
    """

    def __init__(self, name: str, fraction: Callable[[int], float]) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._name = name
        self._fraction = fraction
        self._rows_before, self._done_before = 0, 0.0
        self._started = self._shown = time.monotonic()
        console = plain_console(stderr=True)
        self._live = console.is_terminal
        self._progress = Progress(
            TextColumn(name, markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[told]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(name, total=1.0, told="")

    def __enter__(self) -> RowProgress:
        if self._live:
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._progress.stop()

    def start_from(self, rows: int) -> None:
        """``rows`` were done before: rate and time left are reckoned from those done since."""
        self._rows_before, self._done_before = rows, min(1.0, self._fraction(rows))

    def say(self, line: str) -> None:
        """A line on stderr."""
        self._progress.console.print(line, soft_wrap=True)

    def update(self, rows: int, note: str = "") -> None:
        """``rows`` are done; ``note`` stands behind them."""
        now = time.monotonic()
        if now - self._shown < (_REFRESH_SECONDS if self._live else _LINE_SECONDS):
            return
        self._shown = now
        done, elapsed = min(1.0, self._fraction(rows)), now - self._started
        rate = (rows - self._rows_before) / max(elapsed, 1e-9)
        told = ", ".join(part for part in (f"{rows:,} rows", note, f"{rate:,.0f}/s") if part)
        if self._live:
            self._progress.update(self._task, completed=done, told=told)
            return
        gained = done - self._done_before
        left = f", {elapsed * (1 - done) / gained:,.0f} s left" if gained > 0 else ""
        self.say(f"{self._name}: {done:.0%}, {told}{left}")
