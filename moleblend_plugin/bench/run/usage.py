"""Seconds of a cell over all its starts: what an interrupted one had used is kept and added.

The tally is written every few seconds while the cell runs, so a process that is killed loses no more than
those. On Linux it counts the processes that the cell has started and not yet waited for; elsewhere it counts
them when they end.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

from moleblend_plugin.bench.run.groups import leads_group
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.files import replacing

EVERY: Final = 5.0
"""Seconds between two writes of the tally."""

_PROCESSES: Final = Path("/proc")
_STAT_GROUP: Final = 2
_STAT_TIMES: Final = slice(11, 15)
"""Places after the name in ``/proc/PID/stat``: process group; utime, stime, cutime, cstime (proc(5))."""


MADE: Final[set[str]] = set()
"""Names of kept files that this cell has made, in this start or an earlier one: it has counted their cost."""


class Used(NamedTuple):
    """Seconds of a cell.

    Attributes:
        seconds: that passed while it ran.
        cpu_seconds: user and system time of its processes.
    """

    seconds: float
    cpu_seconds: float


class Tally:
    """What a cell has used, with its earlier starts of the same settings.

    Args:
        cell: the cell. What an earlier start of it made is added to :data:`MADE`.
    """

    def __init__(self, cell: Cell) -> None:
        self._path = cell.log.with_suffix(".used.json")
        self._hash = cell.hash
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._writer: threading.Thread | None = None
        self._earlier = Used(0.0, 0.0)
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["hash"] == self._hash:
                self._earlier = Used(float(found["seconds"]), float(found["cpu_seconds"]))
                MADE.update(found["made"])
        except (OSError, ValueError, KeyError, TypeError):
            return

    def used(self) -> Used:
        """So far."""
        here = Used(time.monotonic() - self._started, max(cpu_seconds(), _group_cpu_seconds()))
        return Used(*(sum(both) for both in zip(self._earlier, here, strict=True)))

    def keep(self) -> None:
        """Write it for a next start."""
        facts = {"hash": self._hash, **self.used()._asdict(), "made": sorted(MADE)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as temporary:
            temporary.write_text(json.dumps(facts) + "\n", encoding="utf-8")

    def keep_on(self) -> None:
        """Write it again and again until :meth:`end`."""

        def write() -> None:
            while not self._ended.wait(EVERY):
                self.keep()

        self._writer = threading.Thread(target=write, daemon=True)
        self._writer.start()

    def end(self, finished: bool) -> None:
        """Stop writing; a finished cell holds the numbers itself."""
        self._ended.set()
        if self._writer is not None:
            self._writer.join()
        if finished:
            self._path.unlink(missing_ok=True)
        else:
            self.keep()


def cpu_seconds() -> float:
    """Processor time of this process and of those it waited for (on Windows: of this process)."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _group_cpu_seconds() -> float:
    """Processor time of the group that this process leads, with what still runs; 0 where nobody can say."""
    if not leads_group() or not (_PROCESSES / "self" / "stat").is_file():
        return 0.0
    ticks, group = 0, str(os.getpid())
    for path in _PROCESSES.glob("[0-9]*/stat"):
        try:
            facts = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if facts[_STAT_GROUP] == group:
            ticks += sum(int(one) for one in facts[_STAT_TIMES])
    return ticks / os.sysconf("SC_CLK_TCK")
