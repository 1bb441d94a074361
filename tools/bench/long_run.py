"""Whether a long run keeps its speed and memory: python tools/bench/long_run.py LOG MEMORY [--out FILE].

Start the run with --log-format json, standard error in LOG, and beside it, until it ends:

    python tools/bench/long_run.py --watch PID MEMORY

MEMORY gets the own memory of the process PID and its descendants, every ten seconds. Lines of the first
minutes, in which caches fill and loops are compiled, are left out (``--from``).
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measure import Figure, Table, finish, own_memory
from scipy.stats import linregress, t

SECONDS = 10


def descendants(pid: int) -> list[int]:
    """``pid`` and all processes below it."""
    found = [pid]
    for number in found:
        for task in Path(f"/proc/{number}/task").glob("*/children"):
            found += map(int, task.read_text(encoding="ascii").split())
    return found


def watch(pid: int, out: Path) -> None:
    """Append a line of JSON every ten seconds until the process ends: seconds, and MB by process."""
    started = time.monotonic()
    with out.open("w", encoding="ascii") as stream:
        while Path(f"/proc/{pid}").exists():
            held = {}
            for number in descendants(pid):
                try:
                    held[number] = own_memory(number)
                except OSError:  # it has just ended
                    continue
            print(json.dumps([round(time.monotonic() - started, 1), held]), file=stream, flush=True)
            time.sleep(SECONDS)


def slope(hours: Sequence[float], values: Sequence[float], what: str, unit: str, digits: int = 4) -> Figure:
    """Change per hour with its interval of 95 %."""
    line = linregress(hours, values)
    half = float(t.ppf(0.975, len(hours) - 2)) * line.stderr
    how = f"95 %: {line.slope - half:.{digits}g} to {line.slope + half:.{digits}g}; {len(hours)} values"
    return Figure(f"{what}: change per hour", float(line.slope), unit, how)


def read_log(log: Path, start: float) -> list[dict[str, float]]:
    """The interval lines after ``start`` seconds."""
    lines = re.findall(r"\| train_inner \| (\{.*\})", log.read_text(encoding="utf-8"))
    rows = [{key: float(value) for key, value in json.loads(line).items()} for line in lines]
    return [row for row in rows if row["wall"] >= start]


def main() -> None:
    """Watch, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", help="the run's log, or with --watch its process")
    parser.add_argument("memory", type=Path)
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--from", dest="start", type=float, default=300, help="seconds left out (300)")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.watch:
        watch(int(arguments.log), arguments.memory)
        return
    rows = read_log(Path(arguments.log), arguments.start)
    walls = np.array([row["wall"] for row in rows])
    rate = [row["bsz"] * row["ups"] for row in rows]
    waits = [row["data_wait"] / (row["data_wait"] + row["train_wall"]) for row in rows]
    low, middle, high = np.quantile(rate, [0.25, 0.5, 0.75])
    table = Table("A long run")
    span = f"{len(rows)} intervals, {walls[0]:,.0f} to {walls[-1]:,.0f} s after the start"
    table.add(Figure("molecules/s", middle, "molecules/s", span, (high - low) / middle))
    table.add(slope(walls / 3600, rate, "molecules/s", "molecules/s"))
    table.add(Figure("waiting for data", float(np.mean(waits)), "of the time", "first process; mean", None))
    held = [json.loads(line) for line in arguments.memory.read_text(encoding="ascii").splitlines()]
    held = [(seconds, by_process) for seconds, by_process in held if seconds >= arguments.start]
    sums = [sum(by_process.values()) for _, by_process in held]
    table.add(Figure("memory of all processes", float(np.median(sums)), "MB", "own pages, median"))
    table.add(slope([seconds / 3600 for seconds, _ in held], sums, "memory of all processes", "MB"))
    finish([table], 1, arguments.out)


if __name__ == "__main__":
    main()
