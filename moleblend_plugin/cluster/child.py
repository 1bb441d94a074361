"""The process for pieces: a line of JSON comes in, lines of JSON go out."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from typing import Any, Final, TextIO

from moleblend_plugin.cluster.jobs import JOBS
from moleblend_plugin.cluster.request import Request
from moleblend_plugin.entry import begin
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.locks import Held
from moleblend_plugin.stopping import termination_as_exit

_PATIENCE: Final = 10.0
"""Seconds in which the work may be put away when it is to end."""

IDLE_SECONDS: Final = 60.0
"""After which a process without work ends."""

_SECONDS: Final = 1.0
"""Between two lines on how far the work has come."""


def main() -> None:
    """Do the pieces that standard input asks for; end, keeping what is finished, when it ends."""
    begin()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the client decides
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no line of ours
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(asked,), daemon=True).start()
    with termination_as_exit():
        while True:
            try:
                request = Request(**json.loads(asked.get(timeout=IDLE_SECONDS)))
            except queue.Empty:  # its memory is of use to others
                return
            lines = _Lines(out)
            try:
                lines.tell({"done": JOBS[request.kind](request, lines.rows)})
            except MoleblendError as error:
                lines.tell({"error": str(error), "held": isinstance(error, Held)})


class _Lines:
    """Lines to the task."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._told = out, 0.0

    def tell(self, facts: dict[str, Any]) -> None:
        """One line."""
        print(json.dumps(facts), file=self._out, flush=True)

    def rows(self, rows: int, rejected: int) -> None:
        """How far the work has come, now and then."""
        if time.monotonic() - self._told > _SECONDS:
            self._told = time.monotonic()
            self.tell({"rows": rows, "rejected": rejected})


def _read(asked: queue.SimpleQueue[str]) -> None:
    """The task holds the other end: where it is gone, or closes it, nobody waits for a result."""
    for line in sys.stdin:
        asked.put(line)
    os.kill(os.getpid(), signal.SIGTERM)  # the work unwinds as at a cluster's time limit
    time.sleep(_PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    main()
