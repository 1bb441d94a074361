"""`moleblend fit` beside `chemprop train` with as many members: time, processor time, error on the same rows.

python tools/bench/fit_chemprop.py esol.csv --target "measured log solubility in mols per litre" \\
    --chemprop CHEMPROP_VENV/bin/chemprop --out runs/fit_chemprop

Both read one table with one split (80/10/10 at random, by --seed) and run one after the other with their
defaults. Ours also fits forests, intervals, baselines and a report; chemprop trains its networks. Processor
seconds are those of the command and all its processes.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

PARTS = ("train", "valid", "test")
WORDS = {"train": "train", "valid": "val", "test": "test"}  # chemprop's


class Cost(NamedTuple):
    """Seconds of a command."""

    wall: float
    cpu: float


def main() -> None:
    """Run both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--smiles-column", default="smiles")
    parser.add_argument("--target", required=True)
    parser.add_argument("--task", choices=("regression", "classification"), default="regression")
    parser.add_argument("--chemprop", required=True, help="its command")
    parser.add_argument("--ensemble-size", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    table = args.out / "table.csv"
    labels = write_table(args, table)
    size, seed = str(args.ensemble_size), str(args.seed)
    ours, theirs = args.out / "moleblend", args.out / "chemprop"
    for folder in (ours, theirs):
        shutil.rmtree(folder, ignore_errors=True)
    command = Path(sys.executable).with_name("moleblend")
    cost_of_ours = run(
        *(command, "fit", table, "--target", "y", "--smiles-column", "smiles", "--split-column", "part"),
        *("--ensemble-size", size, "--seed", seed, "--out", ours),
    )
    cost_of_theirs = run(
        *(args.chemprop, "train", "-i", table, "-s", "smiles", "--target-columns", "y"),
        *("--splits-column", "split", "--task-type", args.task, "--ensemble-size", size),
        *("--pytorch-seed", seed, "--num-workers", "0", "--accelerator", "cpu", "-o", theirs),
    )
    test = args.out / "test.csv"
    predicted = args.out / "chemprop_test.csv"
    run(args.chemprop, "predict", "-i", test, "-s", "smiles", "--model-paths", theirs, "-o", predicted)
    run(command, "predict", ours, test, "--smiles-column", "smiles", "--out", args.out / "moleblend_test.csv")
    print(
        f"| {args.table.stem}, {size} members | test score | seconds | processor seconds |\n|---|---|---|---|"
    )
    for name, cost, path, column in (
        ("moleblend fit", cost_of_ours, args.out / "moleblend_test.csv", "predicted_y"),
        ("chemprop train", cost_of_theirs, predicted, "y"),
    ):
        found = score(args.task, labels, read_column(path, column))
        print(f"| {name} | {found:.3f} | {cost.wall:.0f} | {cost.cpu:.0f} |")


def write_table(args: argparse.Namespace, path: Path) -> npt.NDArray[np.float64]:
    """Write the table with a column of parts in each one's words, and its test rows; the labels of those."""
    with args.table.open(newline="", encoding="utf-8") as stream:
        rows = [(row[args.smiles_column], row[args.target]) for row in csv.DictReader(stream)]
    order = np.random.default_rng(args.seed).permutation(len(rows))
    cuts = (int(0.8 * len(rows)), int(0.9 * len(rows)))
    part_of = {row: PARTS[sum(place >= cut for cut in cuts)] for place, row in enumerate(order.tolist())}
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["smiles", "y", "part", "split"])
        writer.writerows([*row, part_of[place], WORDS[part_of[place]]] for place, row in enumerate(rows))
    held = [row for place, row in enumerate(rows) if part_of[place] == "test"]
    with (path.parent / "test.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["smiles"], *([smiles] for smiles, _ in held)])
    return np.array([float(label) for _, label in held])


def run(*words: object) -> Cost:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    code = subprocess.run(
        [str(word) for word in words], env=environment, stdout=subprocess.DEVNULL
    ).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        raise SystemExit(f"error: {words[0]} {words[1]} ended with code {code}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.monotonic() - start, used)


def read_column(path: Path, name: str) -> npt.NDArray[np.float64]:
    """A column of numbers."""
    with path.open(newline="", encoding="utf-8") as stream:
        return np.array([float(row[name]) for row in csv.DictReader(stream)])


def score(task: str, labels: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> float:
    """Root mean squared error, or area under the ROC curve."""
    if task == "classification":
        return float(roc_auc_score(labels, predicted))
    return float(np.sqrt(np.mean((labels - predicted) ** 2)))


if __name__ == "__main__":
    main()
