"""chemprop 2 as one more baseline, through its own command line, on the same rows; where it is installed."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from moleblend_plugin.bench.run.interpreters import run_python, version_in
from moleblend_plugin.bench.run.outcome import CellOutcome, Parts
from moleblend_plugin.bench.run.split_arrays import PartArrays
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float64Array

EPOCHS: Final = 50
"""chemprop's default; everything else is its default too."""

_SPLIT_WORDS: Final = {"train": "train", "valid": "val", "test": "test"}


def run(cell: Cell, parts: Parts, numbers: Mapping[str, Any]) -> CellOutcome:
    """Train on the training part, choose the epoch on validation, predict both other parts.

    Raises:
        MoleblendError: chemprop failed; what it said stands in the cell's log.
    """
    started = time.monotonic()
    folder = cell.run
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "molecules.csv"
    names = [f"task{number}" for number in range(len(parts["train"].names))]
    write_parts(table, parts, names)
    _chemprop(
        cell,
        *("train", "--data-path", str(table), "--smiles-columns", "smiles", "--target-columns", *names),
        *("--splits-column", "split", "--task-type", cell.task, "--output-dir", str(folder / "model")),
        *("--epochs", str(EPOCHS), "--pytorch-seed", str(cell.seed), "--num-workers", "0"),
        *("--ensemble-size", str(cell.options.get("ensemble_size", 1)), *cell.options.get("flags", [])),
    )
    trained = time.monotonic()
    valid, test = (_predict(cell, parts[part], folder, part, names) for part in ("valid", "test"))
    seconds = {"train": trained - started, "predict": time.monotonic() - trained}
    packages = {"chemprop": version_in(cell.python, "chemprop")}
    return CellOutcome(valid, test, dict(numbers), seconds, packages=packages)


def write_parts(path: Path, parts: Mapping[str, PartArrays], names: Sequence[str]) -> None:
    """Molecules of all parts with their labels and a column of the split; missing labels are empty."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["smiles", *names, "split"])
        for part, word in _SPLIT_WORDS.items():
            for smiles, labels in zip(parts[part].smiles, parts[part].targets, strict=True):
                cells = ["" if np.isnan(label) else f"{label:.12g}" for label in labels]
                writer.writerow([smiles, *cells, word])


def _predict(cell: Cell, part: PartArrays, folder: Path, name: str, names: Sequence[str]) -> Float64Array:
    table, predicted = folder / f"{name}.csv", folder / f"{name}-predictions.csv"
    table.write_text("\n".join(["smiles", *part.smiles]) + "\n", encoding="utf-8")
    _chemprop(
        cell,
        *("predict", "--test-path", str(table), "--smiles-columns", "smiles", "--num-workers", "0"),
        *("--model-paths", str(folder / "model"), "--preds-path", str(predicted)),
    )
    with predicted.open(newline="", encoding="utf-8") as stream:
        return np.array([[float(row[name]) for name in names] for row in csv.DictReader(stream)])


def _chemprop(cell: Cell, *words: str) -> None:
    call = "import sys; from chemprop.cli.main import main; sys.argv[0] = 'chemprop'; main()"
    code = run_python(cell.python, call, words)
    if code:
        raise MoleblendError(f"chemprop {words[0]} ended with code {code}; see {cell.log}")
