"""Predictions and embeddings per second: python tools/bench/predict.py MOLECULES --table molecules.csv.

All are whole commands in 2D on one thread, from a table of SMILES to a table of numbers, start included, in
turns. ``--beside`` names a checkout of another commit, ``--chemprop`` that program, which predicts with a
model of its defaults.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import statistics
import subprocess
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import Figure, Table, Timing, children_seconds, finish, settings
from rdkit import Chem, rdBase
from start import HERE, Checkout

ROWS = 20_000
TARGET = 4.0
"""Times chemprop's rate."""

Command = Callable[[], None]


def read_smiles(table: Path, column: str, rows: int) -> list[str]:
    """The first ``rows`` SMILES of a table (.csv or .csv.gz) that RDKit reads: chemprop ends at another."""
    open_text = gzip.open if table.suffix == ".gz" else open
    with open_text(table, "rt", encoding="utf-8") as file, rdBase.BlockLogs():
        texts = (row[column].strip() for row in csv.DictReader(file))
        return list(islice((text for text in texts if text and Chem.MolFromSmiles(text)), rows))


def commands(
    molecules: Path, smiles: list[str], folder: Path, beside: Path | None, chemprop: Path | None
) -> dict[str, Command]:
    """By name: what is measured, with everything that it needs made."""
    table = folder / "table.csv"
    table.write_text("\n".join(["smiles", *smiles]), encoding="utf-8")
    found: dict[str, Command] = {}
    roots = [HERE] if beside is None else [HERE, beside.resolve()]
    for number, root in enumerate(roots):
        checkout = Checkout(root, folder / str(number), molecules)
        label = f", {root.name}" if number else ""
        for name, ending in (("predict", "csv"), ("embed", "npz")):
            found[f"moleblend {name}{label}"] = _ours(
                checkout, name, table, folder / f"{name}{number}.{ending}"
            )
    if chemprop is not None:
        found["chemprop predict"] = _chemprop(chemprop, folder, folder / "0" / "molecules.csv", table)
    return found


def _ours(checkout: Checkout, command: str, table: Path, out: Path) -> Command:
    def work() -> None:
        out.unlink(missing_ok=True)
        model = checkout.folder / "run" / "checkpoint_best.pt"
        words = ("-m", "moleblend_plugin.cli.main", command, model, table, "--out", out, "--workers", "1")
        checkout.run(*words)

    return work


def _chemprop(program: Path, folder: Path, training: Path, table: Path) -> Command:
    def run(*words: object) -> None:
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([str(program), *map(str, words)], check=True, **silent)  # type: ignore[call-overload]

    model, alone = folder / "chemprop", ("--accelerator", "cpu", "--num-workers", "0")
    run(
        "train", "-i", training, "-s", "smiles", "--target-columns", "y", "--epochs", "3", *alone, "-o", model
    )
    return lambda: run(
        *("predict", "-i", table, "-s", "smiles", "--model-paths", model, *alone),
        *("-o", folder / "chemprop.csv"),
    )


def measure(
    molecules: Path, smiles: list[str], repeats: int, beside: Path | None, chemprop: Path | None
) -> Table:
    """The table.

    Args:
        molecules: folder of molecules, of which a model is made.
        smiles: what is predicted.
        repeats: turns.
        beside: a checkout of another commit.
        chemprop: chemprop's command.
    """
    table = Table(f"Predictions of {len(smiles):,} rows, 2D, 1 thread")
    with TemporaryDirectory(prefix="moleblend-bench-") as folder:
        found = commands(molecules, smiles, Path(folder), beside, chemprop)
        seconds: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(repeats):
            for name, work in found.items():
                before = children_seconds()
                work()
                seconds[name].append(children_seconds() - before)
    theirs = seconds.get("chemprop predict")
    for name, times in seconds.items():
        how = f"CPU time of the command, {repeats} times; {statistics.median(times):.1f} s"
        target = None
        if theirs is not None and times is not theirs:
            how += f"; {statistics.median(theirs) / statistics.median(times):.2f} times chemprop's rate"
            target = TARGET * len(smiles) / statistics.median(theirs)
        own = name in ("moleblend predict", "moleblend embed")
        timing = Timing(tuple(times), "cpu")
        rate = len(smiles) / timing.median
        table.add(Figure(name, rate, "rows/s", how, timing.spread, None, target if own else None))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    parser.add_argument("--table", type=Path, required=True, help="molecules as .csv or .csv.gz")
    parser.add_argument("--column", default="smiles", help="its column of SMILES")
    parser.add_argument("--rows", type=int, default=ROWS, help="how many of its rows")
    parser.add_argument("--beside", type=Path, help="a checkout of another commit, measured in turns")
    parser.add_argument("--chemprop", type=Path, help="chemprop's command")
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    smiles = read_smiles(args.table, args.column, args.rows)
    finish([measure(args.molecules, smiles, args.repeats, args.beside, args.chemprop)], 1, args.out)


if __name__ == "__main__":
    main()
