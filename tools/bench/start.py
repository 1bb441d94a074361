"""What commands cost before they do anything: python tools/bench/start.py MOLECULES --beside OTHER.

``--beside`` names a checkout of another commit (``git worktree add OTHER COMMIT``), measured in turns with
this one: its own commands make its store and its model.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measure import FILES, Figure, Table, Timing, children_seconds, finish, settings

HERE = Path(__file__).resolve().parents[2]
ROWS = 96
"""Molecules of the store that training starts from."""

MAIN = """
import os, moleblend_plugin
if os.path.isdir(os.path.join(os.path.dirname(moleblend_plugin.__file__), "trainer")):
    from moleblend_plugin.trainer.main import main
else:  # where it was before; an installed package would lend the other folder
    from moleblend_plugin.host.embedded.main import main
"""
TRAIN = (
    """
import logging, os, sys
class First(logging.Handler):
    def emit(self, record):
        if until_update and record.name == "train_inner":
            os._exit(0)
until_update = sys.argv.pop(1) == "first"
logging.getLogger("train_inner").addHandler(First())
"""
    + MAIN
    + """
sys.exit(main())
"""
)
TASK = (
    *("--task", "moleblend_property", "--arch", "moleblend_property_tiny", "--loss", "moleblend_regression"),
    *(
        "--input-mode",
        "2d",
        "--optimizer",
        "adam",
        "--lr",
        "1e-3",
        "--batch-size",
        "16",
        "--cpu",
        "--seed",
        "1",
    ),
    *("--max-epoch", "1", "--log-interval", "1", "--num-workers", "0"),
)


class Checkout:
    """Commands of one checkout, with a store, a model and a table of one row that it made.

    Args:
        root: the checkout.
        folder: where it writes.
        molecules: folder of the molecules.
    """

    def __init__(self, root: Path, folder: Path, molecules: Path) -> None:
        self.root, self.folder = root, folder
        folder.mkdir()
        with np.load(molecules / f"{FILES['drug-like']}.npz", allow_pickle=False) as file:
            smiles = [str(text) for text in file["smiles"][:ROWS]]
        lines = [f"{text},{len(text) / 10}" for text in smiles]
        (folder / "molecules.csv").write_text("\n".join(["smiles,y", *lines]), encoding="utf-8")
        (folder / "one.csv").write_text(f"smiles\n{smiles[0]}\n", encoding="utf-8")
        options = ("--target-columns", "y", "--conformers", "none", "--split", "random", "--workers", "1")
        self.run(
            "-m",
            "moleblend_plugin.cli.main",
            "build",
            folder / "molecules.csv",
            "--out",
            self.store,
            *options,
        )
        self.train("all")

    @property
    def store(self) -> Path:
        """Folder of the stores."""
        return self.folder / "store"

    def run(self, *arguments: object) -> None:
        """A command of Python's that imports this checkout."""
        words = [sys.executable, *map(str, arguments)]
        environment = os.environ | {"PYTHONPATH": str(self.root)}
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(words, check=True, cwd=self.root, env=environment, **silent)  # type: ignore[call-overload]

    def train(self, how_far: str) -> None:
        """Train to the "first" update, or "all" of an epoch."""
        folder = self.folder / ("run" if how_far == "all" else "started")
        self.run("-c", TRAIN, how_far, self.store, *TASK, "--save-dir", folder)

    def predict(self) -> None:
        """Predict one row."""
        out = self.folder / "out.csv"
        out.unlink(missing_ok=True)
        model = self.folder / "run" / "checkpoint_best.pt"
        command = ("-m", "moleblend_plugin.cli.main", "predict", model, self.folder / "one.csv")
        self.run(*command, "--out", out, "--workers", "1")


STARTS: dict[str, tuple[Callable[[Checkout], None], float | None]] = {
    "python, nothing": (lambda it: it.run("-c", ""), None),
    "import torch": (lambda it: it.run("-c", "import torch"), None),
    "import sklearn.base": (lambda it: it.run("-c", "import sklearn.base"), None),
    "moleblend --help": (lambda it: it.run("-m", "moleblend_plugin.cli.main", "--help"), 0.5),
    "import MoleblendRegressor": (
        lambda it: it.run("-c", "from moleblend_plugin import MoleblendRegressor"),
        0.5,
    ),
    "moleblend predict, one row": (lambda it: it.predict(), 1.5),
    "moleblend-train, to the first update": (lambda it: it.train("first"), 2.5),
}
"""By name: what starts, and the target in seconds."""


def measure(molecules: Path, repeats: int, beside: Path | None = None) -> Table:
    """The table."""
    table = Table("Start of commands")
    with TemporaryDirectory(prefix="moleblend-bench-") as folder:
        roots = [HERE] if beside is None else [HERE, beside.resolve()]
        checkouts = [Checkout(root, Path(folder, str(n)), molecules) for n, root in enumerate(roots)]
        for name, (start, target) in STARTS.items():
            found = _in_turns(checkouts, start, repeats)
            for checkout, (cpu, wall) in zip(checkouts, found, strict=True):
                how = f"CPU time of the process, {repeats} starts; wall time {wall:.2f} s"
                own = checkout is checkouts[0]
                if own and beside is not None:
                    how += f"; {cpu.median / found[1][0].median:.2f} of {beside.name}"
                label = name if own else f"{name}, {checkout.root.name}"
                table.add(
                    Figure(label, cpu.median, "s", how, cpu.spread, None, target if own else None, False)
                )
    return table


def _in_turns(
    checkouts: list[Checkout], start: Callable[[Checkout], None], repeats: int
) -> list[tuple[Timing, float]]:
    """CPU times and median wall time of every checkout's starts."""
    cpu: list[list[float]] = [[] for _ in checkouts]
    wall: list[list[float]] = [[] for _ in checkouts]
    for _ in range(repeats + 1):
        for place, checkout in enumerate(checkouts):
            before, began = children_seconds(), time.perf_counter()
            start(checkout)
            wall[place].append(time.perf_counter() - began)
            cpu[place].append(children_seconds() - before)
    # The first one fills the system's cache.
    return [
        (Timing(tuple(times[1:]), "cpu"), statistics.median(walls[1:]))
        for times, walls in zip(cpu, wall, strict=True)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    parser.add_argument("--beside", type=Path, help="a checkout of another commit, measured in turns")
    args = parser.parse_args()
    finish([measure(args.molecules, args.repeats, args.beside)], 1, args.out)


if __name__ == "__main__":
    main()
