"""Progress of a fit on stderr: one bar over all of it; a line now and then where it is no terminal."""

from __future__ import annotations

import sys
import time
from typing import Final

from moleblend_plugin.cli._progress import Bar

_FIRST_SECONDS: Final = 10.0
_LINE_SECONDS: Final = 30.0


class FitProgress:
    """Context manager; its methods are what ``fitting.run.OnFit`` takes.

    Args:
        name: of the command.
    """

    def __init__(self, name: str = "fit") -> None:
        self._name = name
        self._bar = Bar(name) if sys.stderr.isatty() else None
        self._started = self._shown = time.monotonic()
        self._wait = _FIRST_SECONDS
        self._began: tuple[float, float] | None = None  # when training began, and the share done before

    def __enter__(self) -> FitProgress:
        if self._bar is not None:
            self._bar.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.progress.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        if self._bar is not None:
            self._bar.progress.console.print(line, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def update(self, done: float, what: str) -> None:
        """``done`` of 1 is finished; ``what`` is being done."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.show(done, what)
            return
        if self._began is None and done > 0:
            self._began = (now, done)
        if now - self._shown < self._wait or done >= 1:
            return
        self._shown, self._wait = now, _LINE_SECONDS
        left = ""
        if self._began is not None and done > self._began[1]:
            rate = (done - self._began[1]) / max(now - self._began[0], 1e-9)
            left = f", {(1 - done) / rate:,.0f} s left"
        self.say(f"{self._name}: {done:.0%}, {what}{left}")
