"""Processor time until our networks score what another model scores: python tools/bench/time_to_score.py OUT.

OUT is the folder of a `moleblend bench` with cells of both, or several such folders. For every set and seed:
the first epoch at which the epoch chosen so far on validation has the other model's test score or better, and
the seconds from the raw table to the end of that epoch (`moleblend build` in wall time, which one worker may
exceed by waiting; start, training and validation in processor time), beside those of the other model's whole
run. It reads the scores of every epoch on the test part, so it measures time; it selects nothing. Run both
within one hour on one machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.runs.event_log import read_events

Cell = dict[str, Any]


def cells(folders: list[Path]) -> list[Cell]:
    """All that are finished, with the seconds that the store of their set took."""
    found = []
    for file in (file for folder in folders for file in sorted(folder.glob("cells/*/*/*.json"))):
        cell = json.loads(file.read_text(encoding="utf-8"))
        if cell["status"] == "done":
            report = file.parents[3] / "stores" / cell["set"] / "build_report.json"
            found.append(cell | {"build": json.loads(report.read_text(encoding="utf-8"))["seconds"]})
    return found


def epoch_that_reaches(curve: list[tuple[int, float, float]], score: float, more: bool) -> int | None:
    """The first epoch whose test score, of the best epoch on validation so far, is ``score`` or better."""
    sign = 1 if more else -1
    best = -float("inf")
    test = best
    for epoch, valid, on_test in curve:
        if sign * valid > best:
            best, test = sign * valid, sign * on_test
        if test >= sign * score:
            return epoch
    return None


def seconds_until(cell: Cell, epoch: int) -> float:
    """Seconds of a cell up to the end of an epoch: its store's, and its own without what came later."""
    walls = {
        event["epoch"]: event["wall"]
        for event in read_events(Path(cell["run"]) / "train.jsonl")
        if event["event"] == "train"
    }
    seconds = cell["seconds"]
    later = seconds["predict"] + max(walls.values()) - walls[epoch]
    return float(cell["build"] + cell["cpu_seconds"] * (seconds["total"] - later) / seconds["total"])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--baseline", default="chemprop", help="name of the other model")
    args = parser.parse_args()
    every = cells(args.folders)
    baselines: dict[str, list[Cell]] = defaultdict(list)
    for cell in every:
        if cell["model"] == args.baseline:
            baselines[cell["set"]].append(cell)
    print("| set | model | seed | baseline's test score | epoch | seconds | baseline's seconds | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    ratios: dict[str, list[float]] = defaultdict(list)
    for cell in every:
        others = baselines[cell["set"]]
        if not others or "curve" not in cell:
            continue
        metric = cell["metric"]
        score = statistics.mean(other["test"]["scores"][metric] for other in others)
        whole = statistics.mean(other["cpu_seconds"] for other in others)
        epoch = epoch_that_reaches(cell["curve"], score, METRICS[metric].rises)
        row = f"| {cell['set']} | {cell['model']} | {cell['seed']} | {score:.3f} | "
        if epoch is None:
            print(row + f"never | | {whole:.0f} | |")
            ratios[cell["set"]].append(float("inf"))
            continue
        needed = seconds_until(cell, epoch)
        ratios[cell["set"]].append(needed / whole)
        print(row + f"{epoch} | {needed:.0f} | {whole:.0f} | {needed / whole:.2f} |")
    medians = {name: statistics.median(each) for name, each in ratios.items()}
    print("\nmedian of the seeds:", ", ".join(f"{name} {ratio:.2f}" for name, ratio in medians.items()))
    print(f"median of the sets: {statistics.median(medians.values()):.2f}")


if __name__ == "__main__":
    main()
