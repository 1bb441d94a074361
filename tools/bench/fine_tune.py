"""Whole fine-tuning runs beside another commit: python tools/bench/fine_tune.py TABLES [--against COMMIT].

One set is ESOL. The other has large molecules, 1,141 rows and 27 columns of labels: 25 heavy atoms at the
median, 313 at the 99th percentile, 492 at most; the small ones and some large ones are of MoleculeNet's HIV,
the largest are peptides. CPU time, peak memory and disk are those of the command, start included.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measure import Figure, Table, Timing, finish
from start import MAIN
from updates import BEFORE, HERE, checked_out

ROWS, COLUMNS = 1141, 27
LARGEST, TOP = 492, 12
SOLUBILITY = "measured log solubility in mols per litre"
EPOCHS = (12, 60)
RATES = ("1e-4", "1e-3")
TARGETS = {"large": (150.0, 1.0, 5.0), "esol": (None, 0.6, 5.0)}
"""Seconds, GB and times the checkpoint that are to be reached."""
START = f"{MAIN}main()"
"""What moleblend-train does."""
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def peptide(atoms: int, draw: np.random.Generator) -> str:
    """SMILES of a random peptide of exactly that many heavy atoms (or one less)."""
    from rdkit import Chem

    sequence = "G"
    while True:
        longer = sequence + draw.choice(list(RESIDUES))
        molecule = Chem.MolFromSequence(longer)
        if molecule.GetNumHeavyAtoms() > atoms - 4:
            break
        sequence = longer
    for end in ("", "G", "A", "S", "C", "V", "T"):  # 0, 4, 5, 6, 6, 7, 7 atoms more
        molecule = Chem.MolFromSequence(sequence + end)
        if molecule.GetNumHeavyAtoms() in (atoms, atoms - 1):
            break
    return Chem.MolToSmiles(molecule)


def rows(table: Path) -> list[str]:
    """SMILES of the set."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    draw = np.random.default_rng(1)
    with (
        gzip.open(table, "rt", encoding="utf-8")
        if table.suffix == ".gz"
        else table.open(encoding="utf-8") as lines
    ):
        every = [row["smiles"] for row in csv.DictReader(lines)]
    long = sorted(every, key=len)[-60:]
    chosen = [every[row] for row in draw.permutation(len(every))[: ROWS - 60 - 2 * TOP]]
    sizes = [*np.linspace(313, LARGEST, TOP).astype(int), *np.linspace(100, 312, TOP).astype(int)]
    small = [smiles for smiles in chosen if Chem.MolFromSmiles(smiles) is not None]
    return [*small, *long, *(peptide(int(size), draw) for size in sizes)]


def write(table: Path, target: Path) -> None:
    """The set as CSV, with random labels of which a third is missing."""
    draw = np.random.default_rng(2)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles", *(f"y{column}" for column in range(COLUMNS))])
        for smiles in rows(table):
            labels = draw.normal(size=COLUMNS)
            writer.writerow([smiles, *("" if draw.random() < 1 / 3 else f"{label:.4f}" for label in labels)])


class Run(NamedTuple):
    """What a training took: CPU seconds, GB at its peak, bytes on disk over those of its best checkpoint."""

    seconds: float
    memory: float
    disk: float


def trained(root: Path, data: Path, epochs: int, rate: str) -> Run:
    """A training with the package in ``root``."""
    with tempfile.TemporaryDirectory() as run:
        command = [
            *(sys.executable, "-c", START, str(data), "--task", "moleblend_property", "--seed", "1"),
            *("--arch", "moleblend_property_tiny", "--loss", "moleblend_regression", "--input-mode", "2d"),
            *("--batch-size", "32", "--max-epoch", str(epochs), "--lr", rate, "--cpu", "--save-dir", run),
        ]
        env = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"training with {root} failed")
        sizes = {file: file.stat().st_size for file in Path(run).rglob("*") if file.is_file()}
        disk = sum(sizes.values()) / sizes[Path(run, "checkpoint_best.pt")]
    return Run(used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6, disk)


def built(root: Path, table: Path, folder: Path, labels: str) -> Path:
    """The store that the package in ``root`` makes of a table, 2D, split at random."""
    words = ("build", table, "--out", folder, "--target-columns", labels, "--conformers", "none")
    command = [sys.executable, "-m", "moleblend_plugin", *map(str, words), "--split", "random"]
    env = os.environ | {"PYTHONPATH": str(root)}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, cwd=root, env=env, check=True, **silent)  # type: ignore[call-overload]
    return folder


def measure(tables: Path, commit: str, repeats: int, epochs: tuple[int, int] = EPOCHS) -> Table:
    """The table, of ``hiv.csv.gz`` and ``esol.csv.gz`` in a folder.

    Args:
        tables: the folder.
        commit: the other one; "none": nothing else is trained.
        repeats: turns.
        epochs: of the two sets.
    """
    table = Table("Whole fine-tuning runs, moleblend_property_tiny, 2D, batches of 32, 1 thread")
    with ExitStack() as open_now:
        folder = Path(open_now.enter_context(tempfile.TemporaryDirectory()))
        roots = [HERE] if commit == "none" else [HERE, open_now.enter_context(checked_out(commit))]
        write(tables / "hiv.csv.gz", folder / "large.csv")
        with (
            gzip.open(tables / "esol.csv.gz", "rt", encoding="utf-8") as lines,
            (folder / "esol.csv").open("w", newline="", encoding="utf-8") as file,
        ):
            pairs = ((row["smiles"].strip(), row[SOLUBILITY]) for row in csv.DictReader(lines))
            csv.writer(file).writerows([("smiles", "y0"), *pairs])
        labels = {"large": ",".join(f"y{column}" for column in range(COLUMNS)), "esol": "y0"}
        for (name, columns), length, rate in zip(labels.items(), epochs, RATES, strict=True):
            stores = [
                built(root, folder / f"{name}.csv", folder / f"{name}{number}", columns)
                for number, root in enumerate(roots)
            ]
            turns = [
                [trained(root, store, length, rate) for root, store in zip(roots, stores, strict=True)]
                for _ in range(repeats)
            ]
            _add(table, f"{name}, {length} epochs", TARGETS[name], list(zip(*turns, strict=True)))
    return table


def _add(table: Table, name: str, targets: tuple[float | None, ...], found: list[tuple[Run, ...]]) -> None:
    """Rows of one set: ``found`` has the runs of this commit, then of the other."""
    units = (("time", "s"), ("peak memory", "GB"), ("disk", "x the best checkpoint"))
    for place, (what, unit) in enumerate(units):
        own, *other = ([run[place] for run in runs] for runs in found)
        how = f"of the command, {len(own)} runs: {min(own):.3g} to {max(own):.3g}"
        for values in other:
            before = statistics.median(values)
            how += f"; {before:.3g} before ({min(values):.3g} to {max(values):.3g}), "
            how += f"{statistics.median(own) / before:.2f} of it"
        timing = Timing(tuple(own), "cpu")
        table.add(
            Figure(
                f"{name}: {what}", timing.median, unit, how, timing.spread, None, targets[place], more=False
            )
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, help="folder of hiv.csv.gz and esol.csv.gz (MoleculeNet)")
    parser.add_argument("--against", default=BEFORE, help="the other commit; none: nothing else is trained")
    parser.add_argument("--epochs", type=int, nargs=2, default=EPOCHS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also write the table to OUT.md and OUT.json")
    args = parser.parse_args()
    finish([measure(args.tables, args.against, args.repeats, tuple(args.epochs))], 1, args.out)


if __name__ == "__main__":
    main()
