"""A set with large molecules, beside another commit: python tools/bench/large.py TABLE [--against COMMIT].

1,141 rows and 27 columns of labels: 25 heavy atoms at the median, 313 at the 99th percentile, 492 at most.
The small ones and some large ones are of TABLE (MoleculeNet's HIV, a column "smiles"), the largest are
peptides. Trains moleblend_property_tiny, 2D, batches of 32; CPU time and peak memory are of the command.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from updates import BEFORE, HERE, checked_out

ROWS, COLUMNS = 1141, 27
LARGEST, TOP = 492, 12
START = """
try:
    from moleblend_plugin.trainer.main import main
except ImportError:
    from moleblend_plugin.host.embedded.main import main
main()
"""
"""What moleblend-train does; older commits have it elsewhere."""
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


def trained(root: Path, data: Path, epochs: int) -> tuple[float, float]:
    """CPU seconds and peak memory in GB of a training with the package in ``root``."""
    with tempfile.TemporaryDirectory() as run:
        command = [
            *(sys.executable, "-c", START, str(data), "--task", "moleblend_property", "--seed", "1"),
            *("--arch", "moleblend_property_tiny", "--loss", "moleblend_regression", "--input-mode", "2d"),
            *("--batch-size", "32", "--max-epoch", str(epochs), "--lr", "1e-4", "--cpu", "--save-dir", run),
        ]
        env = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, cwd=root, env=env, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"training with {root} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="hiv.csv or hiv.csv.gz")
    parser.add_argument("--against", default=BEFORE, help="the other commit; none: nothing else is trained")
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(args.table, Path(folder) / "large.csv")
        labels = ",".join(f"y{column}" for column in range(COLUMNS))
        build = [sys.executable, "-m", "moleblend_plugin", "build", f"{folder}/large.csv"]
        build += ["--out", f"{folder}/data", "--target-columns", labels, "--conformers", "none"]
        subprocess.run([*build, "--split", "random"], cwd=HERE, check=True)
        print(f"now: {trained(HERE, Path(folder) / 'data', args.epochs)} (CPU s, GB)")
        if args.against != "none":
            with checked_out(args.against) as before:
                print(f"{args.against}: {trained(before, Path(folder) / 'data', args.epochs)} (CPU s, GB)")


if __name__ == "__main__":
    main()
