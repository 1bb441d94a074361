"""What the benchmarks share: the molecules, the clock, and one table of figures beside their targets.

CPU time (``time.process_time``) is the default clock: it says what the work costs whoever else uses the
machine. Wall time is named where it is taken.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from moleblend_plugin.schema import MoleculeRecord

FILES = {"drug-like": "mols500", "PCQM4Mv2-like": "batch32_small", "drug-like, 32": "batch32_drug"}
"""Names of the molecules (``.npz``) in the folder of molecules."""

Clock = Literal["cpu", "wall"]
_CLOCKS: dict[Clock, Callable[[], float]] = {"cpu": time.process_time, "wall": time.perf_counter}


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call over repeated measurements."""

    seconds: tuple[float, ...]
    clock: Clock

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Distance between the quartiles over the median: 0.05 means that half of them lie within 5 %."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / self.median


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table.

    Attributes:
        what: what was measured.
        value: the figure.
        unit: its unit.
        how: clock, threads, repetitions, in words.
        spread: relative distance between the quartiles, ``None`` where nothing was repeated.
        before: the published implementation's figure.
        target: what is to be reached.
        more: whether more is better.
    """

    what: str
    value: float
    unit: str
    how: str = ""
    spread: float | None = None
    before: float | None = None
    target: float | None = None
    more: bool = True

    @property
    def met(self) -> str:
        """ "yes" or "no", or nothing without a target."""
        if self.target is None:
            return ""
        return "yes" if (self.value >= self.target) == self.more or self.value == self.target else "no"


@dataclass(slots=True)
class Table:
    """Figures under a title; prints itself as markdown."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        """Append, and say so at once: some take a while."""
        print(f"  {figure.what}: {number(figure.value)} {figure.unit}", file=sys.stderr, flush=True)
        self.figures.append(figure)

    def markdown(self) -> str:
        """The table, with notes below it."""
        lines = [
            f"### {self.title}",
            "",
            "| what | measured | spread | published code | target | met | how |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [_row(figure) for figure in self.figures]
        return "\n".join([*lines, "", *(f"{note}\n" for note in self.notes)])


def _row(figure: Figure) -> str:
    spread = "" if figure.spread is None else f"{figure.spread:.0%}"
    compare = "" if figure.target is None else f"{'>=' if figure.more else '<='} {number(figure.target)}"
    before = "" if figure.before is None else number(figure.before)
    cells = (f"{number(figure.value)} {figure.unit}", spread, before, compare, figure.met, figure.how)
    return f"| {figure.what} | " + " | ".join(cells) + " |"


def own_memory(pid: int) -> float:
    """Memory in MB that only this process has; pages of mapped files, which the system may drop, left out."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))) / 1024


def number(value: float) -> str:
    """Three or four digits, thousands with commas."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def timed(work: Callable[[], object], repeats: int = 7, clock: Clock = "cpu", warm: int = 1) -> Timing:
    """Seconds of ``work`` in each of ``repeats`` calls, after ``warm`` calls that do not count."""
    now = _CLOCKS[clock]
    for _ in range(warm):
        work()
    seconds = []
    for _ in range(repeats):
        start = now()
        work()
        seconds.append(now() - start)
    return Timing(tuple(seconds), clock)


def children_seconds() -> float:
    """CPU seconds of all processes that were started here and have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def versions(threads: int) -> str:
    """One line: processor, threads and the packages that matter."""
    import numba
    import rdkit
    import torch

    packages = {"torch": torch.__version__, "numpy": np.__version__, "numba": numba.__version__}
    packages |= {"rdkit": rdkit.__version__, "Python": platform.python_version()}
    return ", ".join([_processor(), f"{threads} thread(s)", *(f"{k} {v}" for k, v in packages.items())])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores {names[0]}" if names else platform.machine()


def molecules(folder: Path, which: str) -> list[MoleculeRecord]:
    """The molecules of ``which`` (a key of :data:`FILES`) as records."""
    with np.load(folder / f"{FILES[which]}.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    atoms, edges = np.cumsum(arrays["n_atoms"])[:-1], np.cumsum(arrays["n_edges"])[:-1]
    codes, coords = np.split(arrays["x"], atoms), np.split(arrays["pos"], atoms)
    pairs, kinds = np.split(arrays["edge_index"], edges, axis=1), np.split(arrays["edge_attr"], edges)
    return [
        _record(row, str(arrays["smiles"][row]), codes[row], pairs[row], kinds[row], coords[row])
        for row in range(len(codes))
    ]


def _record(
    row: int, smiles: str, codes: np.ndarray, pairs: np.ndarray, kinds: np.ndarray, coords: np.ndarray
) -> MoleculeRecord:
    once = pairs[0] < pairs[1]
    return MoleculeRecord(
        source="bench",
        row=row,
        smiles=smiles,
        atom_codes=codes.astype(np.uint8),
        bonds=np.ascontiguousarray(pairs[:, once].T).astype(np.uint16),
        bond_codes=kinds[once].astype(np.uint8),
        coords=coords.astype(np.float32)[None],
        coords_from="source",
    )


def settings(parser: argparse.ArgumentParser) -> None:
    """Options of every benchmark."""
    parser.add_argument("molecules", type=Path, help="folder of mols500.npz, batch32_small.npz, ...")
    parser.add_argument("--repeats", type=int, default=7, help="repetitions of each measurement")
    parser.add_argument("--out", type=Path, help="also write the tables to OUT.md and OUT.json")


def finish(tables: list[Table], threads: int, out: Path | None) -> str:
    """Print the tables and give them back; with ``out`` also write ``OUT.md`` and ``OUT.json``."""
    line = versions(threads)
    text = "\n".join([f"Machine: {line}\n", *(table.markdown() for table in tables)])
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.with_suffix(".md").write_text(text, encoding="utf-8")
        figures = {table.title: [asdict(figure) for figure in table.figures] for table in tables}
        out.with_suffix(".json").write_text(
            json.dumps({"machine": line, "tables": figures}, indent=1), encoding="utf-8"
        )
    return text
