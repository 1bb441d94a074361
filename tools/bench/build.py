"""``moleblend build``: rows/s, memory and overhead over RDKit: python tools/bench/build.py MOLECULES.

CPU time of all its processes; divide by the number of cores that they have for the time it takes.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import FILES, Figure, Table, Timing, children_seconds, finish, settings

ROWS, MILLION = 20_000, 1_000_000
WITH_3D = 100
REPEATS = 3
FAST = 3.0
"""Times RDKit's own rate of conformers."""
MINUTES = 10.0
"""For a million molecules without conformers on two cores."""


def write_csv(folder: Path, path: Path, count: int) -> None:
    """SMILES of the drug-like molecules, over and over."""
    with np.load(folder / f"{FILES['drug-like']}.npz", allow_pickle=False) as file:
        smiles = file["smiles"].tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["smiles"])
        rows.writerows([smiles[row % len(smiles)]] for row in range(count))


def build(
    source: Path, out: Path, conformers: str, workers: int, method: str = "full"
) -> tuple[float, float]:
    """CPU and wall seconds of one build, all processes together."""
    command = [sys.executable, "-m", "moleblend_plugin.cli.main", "build", str(source), "--out", str(out)]
    before, start = children_seconds(), time.perf_counter()
    subprocess.run(
        [*command, "--conformers", conformers, "--conformer-method", method, "--workers", str(workers)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return children_seconds() - before, time.perf_counter() - start


def rdkit_seconds(source: Path) -> float:
    """CPU seconds of RDKit alone: parse, hydrogens, one ETKDGv3 conformer, MMFF94 as in a build."""
    from rdkit import Chem, RDLogger
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    from moleblend_plugin.chem.geometry.relax import DEFAULT_STEPS

    RDLogger.DisableLog("rdApp.*")  # it reports molecules without MMFF94 parameters
    start = time.process_time()
    for line in source.read_text(encoding="utf-8").splitlines()[1:]:
        mol = Chem.AddHs(Chem.MolFromSmiles(line))
        parameters = rdDistGeom.ETKDGv3()
        parameters.randomSeed = 1
        if rdDistGeom.EmbedMolecule(mol, parameters) == 0:
            rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=DEFAULT_STEPS)
    return time.process_time() - start


def with_conformers(
    source: Path, few: Path, folder: Path, count: int, workers: int, repeats: int = REPEATS
) -> Iterator[Figure]:
    """Both methods and RDKit alone, in turns: ``count`` molecules of ``source`` less the first of them."""
    seconds: dict[str, list[float]] = {"full": [], "fast": [], "RDKit alone": []}
    for turn in range(repeats):
        for name, times in seconds.items():
            if name == "RDKit alone":
                times.append(rdkit_seconds(source) - rdkit_seconds(few))
            else:
                longer, shorter = (
                    build(table, folder / f"{name}{turn}{table.stem}", "1", workers, name)[0]
                    for table in (source, few)
                )
                times.append(longer - shorter)
    how = f"CPU time of {count} molecules more, so without the start, {repeats} times"
    full, fast, alone = (Timing(tuple(times), "cpu") for times in seconds.values())
    for what, found in (("with one conformer", full), ("the same, --conformer-method fast", fast)):
        yield Figure(what, count / found.median, "rows/s and core", how, found.spread)
    yield Figure("RDKit alone", count / alone.median, "rows/s and core", how, alone.spread)
    yield Figure("overhead over RDKit", full.median / alone.median - 1, "of its time", how)
    how += "; rate of fast conformers over RDKit's"
    yield Figure("fast method", alone.median / fast.median, "x", how, None, None, FAST)


def measure(folder: Path, rows: int, with_3d: int, workers: int) -> Table:
    """The table."""
    table = Table("moleblend build")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
        names = {"rows": rows, "fewer": rows // 4, "some": with_3d * 5 // 4, "few": with_3d // 4}
        paths = {name: Path(temporary) / f"{name}.csv" for name in names}
        for name, count in names.items():
            write_csv(folder, paths[name], count)
        cpu, wall = build(paths["rows"], Path(temporary) / "flat", "none", workers)
        fewer, _ = build(paths["fewer"], Path(temporary) / "start", "none", workers)
        each = (cpu - fewer) / (rows - names["fewer"])
        empty = cpu - rows * each
        how = f"CPU time of all processes, {workers} worker(s), {rows:,} rows less {names['fewer']:,}; "
        how += f"start ({empty:.1f} s) left out; wall {wall:.1f} s"
        table.add(Figure("without conformers", 1 / each, "rows/s and core", how))
        minutes = (empty + each * MILLION) / 2 / 60
        how = "measured CPU time over two cores"
        table.add(Figure("a million rows on 2 cores", minutes, "min", how, None, None, MINUTES, False))
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        table.add(Figure("memory of the largest process", memory, "MB", f"{rows:,} rows"))
        some, few = paths["some"], paths["few"]
        for figure in with_conformers(some, few, Path(temporary), with_3d, workers):
            table.add(figure)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows without conformers")
    parser.add_argument("--with-3d", type=int, default=WITH_3D, help="rows with a conformer")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    table = measure(args.molecules, args.rows, args.with_3d, args.workers)
    finish([table], args.workers, args.out)


if __name__ == "__main__":
    main()
