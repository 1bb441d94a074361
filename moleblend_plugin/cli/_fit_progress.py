"""Progress of a fit on stderr: one bar over all of it; a line now and then where it is no terminal."""

from __future__ import annotations

import time
from typing import Final

from moleblend_plugin.cli._progress import LINE_SECONDS, ShownProgress

_FIRST_SECONDS: Final = 10.0


class FitProgress(ShownProgress):
    """Context manager; its methods are what ``fitting.run.OnFit`` takes.

    Args:
        name: of the command.
    """

    def __init__(self, name: str = "fit") -> None:
        super().__init__(name)
        self._wait = _FIRST_SECONDS
        self._began: tuple[float, float] | None = None  # when training began, and the share done before

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
        self._shown, self._wait = now, LINE_SECONDS
        left = ""
        if self._began is not None and done > self._began[1]:
            rate = (done - self._began[1]) / max(now - self._began[0], 1e-9)
            left = f", {(1 - done) / rate:,.0f} s left"
        self.say(f"{self._name}: {done:.0%}, {what}{left}")
