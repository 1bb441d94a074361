"""Progress over rows on stderr: rows, rate and time left; a line now and then where it is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, Self

from moleblend_plugin.cli._console import plain_console

_FIRST_SECONDS: Final = 5.0
LINE_SECONDS: Final = 30.0
_REFRESH_SECONDS: Final = 0.2


class ShownProgress:
    """Context manager: a bar on a terminal, else lines.

    Args:
        name: of the command.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar = Bar(name) if sys.stderr.isatty() else None
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.progress.stop()

    def say(self, line: str) -> None:
        """A line on stderr that stays."""
        if self._bar is not None:
            self._bar.progress.console.print(line, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)


class RowProgress(ShownProgress):
    """Context manager; call :meth:`update` as often as you like.

    Args:
        name: of the command.
        fraction: how far the work has come, 0 to 1, when so many rows are done.
        total: rows in all, where they are known.
    """

    def __init__(self, name: str, fraction: Callable[[int], float], total: int | None = None) -> None:
        super().__init__(name)
        self._fraction = fraction
        self._of = "" if total is None else f" of {total:,}"
        self._rows_before, self._done_before = 0, 0.0
        self._wait = _FIRST_SECONDS

    def start_from(self, rows: int) -> None:
        """``rows`` were done before: rate and time left are reckoned from those done since."""
        self._rows_before, self._done_before = rows, min(1.0, self._fraction(rows))

    def update(self, rows: int, note: str = "") -> None:
        """``rows`` are finished; ``note`` stands behind them."""
        now = time.monotonic()
        if now - self._shown < (self._wait if self._bar is None else _REFRESH_SECONDS):
            return
        self._shown, self._wait = now, LINE_SECONDS
        done, elapsed = min(1.0, self._fraction(rows)), max(now - self._started, 1e-9)
        fresh = rows - self._rows_before
        rate = f"{_round(fresh / elapsed)}/s" if fresh > 0 else ""
        text = ", ".join(part for part in (f"{rows:,}{self._of} rows", note, rate) if part)
        if self._bar is not None:
            self._bar.show(done, text)
            return
        gained = done - self._done_before
        left = f", {elapsed * (1 - done) / gained:,.0f} s left" if gained > 0 else ""
        self.say(f"{self._name}: {done:.0%}, {text}{left}")


class Bar:
    """The bar of a terminal."""

    def __init__(self, name: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn(name, markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[text]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=plain_console(stderr=True),
            transient=True,
        )
        self._task = self.progress.add_task(name, total=1.0, text="")

    def show(self, done: float, text: str) -> None:
        """Move the bar to ``done``, 0 to 1."""
        self.progress.update(self._task, completed=done, text=text)


def _round(rate: float) -> str:
    """A rate with one digit behind the point where it is small: 0/s is never what happens."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
