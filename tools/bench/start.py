"""What a command line costs before it does anything: python tools/bench/start.py."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from measure import Figure, Table, Timing, children_seconds, finish, settings

COMMANDS = {"moleblend --help": ["-m", "moleblend_plugin.cli.main", "--help"], "python, nothing": ["-c", ""]}


def measure(repeats: int) -> Table:
    """The table."""
    table = Table("Start of the command line")
    for name, arguments in COMMANDS.items():
        cpu, wall = [], []
        for _ in range(repeats + 1):
            before, start = children_seconds(), time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            wall.append(time.perf_counter() - start)
            cpu.append(children_seconds() - before)
        timing = Timing(tuple(cpu[1:]), "cpu")  # the first one fills the system's cache
        how = f"CPU time of the process, {repeats} starts; wall time {statistics.median(wall[1:]):.2f} s"
        target = 0.5 if "help" in name else None
        table.add(Figure(name, timing.median, "s", how, timing.spread, None, target, False))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    args = parser.parse_args()
    finish([measure(args.repeats)], 1, args.out)


if __name__ == "__main__":
    main()
