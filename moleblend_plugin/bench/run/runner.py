"""Runs cells, some processes at a time; what fails does not stop the others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final

from moleblend_plugin.bench.run.groups import apart, end_group
from moleblend_plugin.bench.spec.cell_spec import Cell, finished, read_result, write_failure
from moleblend_plugin.files import replacing

_PATIENCE: Final = 10.0
"""Seconds between asking a process to stop and ending it."""

_ERROR: Final = re.compile(r"(\S+: )?error: (?P<text>.*)")
"""A line of a command that gives up, with the program's name before it where argparse wrote it."""

CellState = str
"""started, done or failed."""

Notify = Callable[[Cell, CellState, str], None]
"""Called with a cell, its new state, and a note."""


@dataclass
class _Worker:
    cell: Cell
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    slot: int
    started: float = field(default_factory=time.monotonic)


def run_cells(cells: Sequence[Cell], jobs: int, notify: Notify, gpus: int = 0) -> tuple[int, int]:
    """Run the cells that are not finished.

    KeyboardInterrupt and SystemExit end the processes first, then go on; the next call takes up from there.

    Args:
        cells: in the order in which they start.
        jobs: processes at a time.
        notify: hears of every change.
        gpus: GPUs to share out among the processes, in turn.

    Returns:
        How many were done now, and how many failed.
    """
    waiting = deque(cells)
    running: list[_Worker] = []
    slots = deque(range(jobs))
    done = failed = 0
    try:
        while waiting or running:
            while slots and (cell := _next(waiting, running)):
                running.append(_start(cell, slots.popleft(), gpus))
                notify(cell, "started", "")
            time.sleep(0.1)
            for worker in [one for one in running if one.process.poll() is not None]:
                running.remove(worker)
                slots.append(worker.slot)
                worked = _end(worker, notify)
                done, failed = done + worked, failed + (not worked)
    finally:
        _stop(running)
    return done, failed


def _next(waiting: deque[Cell], running: Sequence[_Worker]) -> Cell | None:
    """Take the first cell whose result is not just being made under another seed (``cells.SEEDLESS``)."""
    busy = {(worker.cell.set, worker.cell.model, worker.cell.hash) for worker in running}
    for cell in waiting:
        if (cell.set, cell.model, cell.hash) not in busy:
            waiting.remove(cell)
            return cell
    return None


def _start(cell: Cell, slot: int, gpus: int) -> _Worker:
    spec = cell.log.with_suffix(".spec.json")
    cell.log.parent.mkdir(parents=True, exist_ok=True)
    with replacing(spec) as temporary:
        temporary.write_text(json.dumps(asdict(cell)) + "\n", encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "MOLEBLEND_HOST"}
    environment |= {"OMP_NUM_THREADS": str(cell.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    environment |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = _visible(slot, gpus)
    log = cell.log.open("wb")
    command = [sys.executable, "-m", "moleblend_plugin.bench.run.cell_process", str(spec)]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, **apart())
    return _Worker(cell, process, log, slot)


def _visible(slot: int, gpus: int) -> str:
    """The GPU of a slot, by the names that the user's own CUDA_VISIBLE_DEVICES gives them."""
    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return names[slot % gpus] if len(names) >= gpus else str(slot % gpus)


def _end(worker: _Worker, notify: Notify) -> bool:
    """Look at a process that ended; whether its cell is finished."""
    worker.log.close()
    cell, code = worker.cell, worker.process.returncode
    if code == 0 and finished(cell):
        result = read_result(cell.path) or {}
        score = result.get("test", {}).get("scores", {}).get(cell.metric, float("nan"))
        seconds = time.monotonic() - worker.started
        notify(cell, "done", f"test {cell.metric} {score:.4f}, {seconds:.0f} s")
        return True
    signalled = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
    reason = f"{last_line(cell.log)} ({signalled})"
    write_failure(cell, reason)
    notify(cell, "failed", f"{reason}; log: {cell.log}")
    return False


def _stop(running: list[_Worker]) -> None:
    """Ask what still runs to stop, then make it."""
    for worker in running:
        end_group(worker.process.pid, now=False)
    end = time.monotonic() + _PATIENCE
    for worker in running:
        try:
            worker.process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            end_group(worker.process.pid, now=True)
            worker.process.kill()
            worker.process.wait()
        end_group(worker.process.pid, now=True)  # a training process that outlived its cell
        worker.log.close()


def last_line(log: Path) -> str:
    """The last ``error:`` line of a log, else its last line."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return "it left no log"
    lines = [line for line in lines if line]
    errors = [found["text"] for line in lines if (found := _ERROR.match(line))]
    return (errors or lines or ["it printed nothing"])[-1]
