"""Progress over rows on stderr: rows, rate and time left; a line now and then where it is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

_LINE_SECONDS: Final = 30.0
_REFRESH_SECONDS: Final = 0.2


class RowProgress:
    """Context manager; call :meth:`update` as often as you like.

    Args:
        name: of the command.
        fraction: how far reading has come, 0 to 1.
    """

    def __init__(self, name: str, fraction: Callable[[], float]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._name = name
        self._fraction = fraction
        self._started = self._shown = time.monotonic()
        console = Console(stderr=True)
        self._live = console.is_terminal
        self._progress = Progress(
            TextColumn(name),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(name, total=1.0, rows=0, rate=0.0)

    def __enter__(self) -> RowProgress:
        if self._live:
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._progress.stop()

    def update(self, rows: int) -> None:
        """``rows`` are done."""
        now = time.monotonic()
        if now - self._shown < (_REFRESH_SECONDS if self._live else _LINE_SECONDS):
            return
        self._shown = now
        done, elapsed = min(1.0, self._fraction()), now - self._started
        rate = rows / max(elapsed, 1e-9)
        if self._live:
            self._progress.update(self._task, completed=done, rows=rows, rate=rate)
            return
        print(
            f"{self._name}: {done:.0%} read, {rows:,} rows done, {rate:,.0f}/s", file=sys.stderr, flush=True
        )
