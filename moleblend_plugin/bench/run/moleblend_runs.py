"""Our model in a comparison: fine-tune by the command a user types, then predict with the best checkpoint."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from moleblend_plugin.bench.run.outcome import CellOutcome, Parts, filled, middle_of
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.bench.spec.recipes import Training, train_flags
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.event_log import read_events
from moleblend_plugin.runs.run_files import BEST_CHECKPOINT, EVENT_LOG
from moleblend_plugin.schema import Float64Array

EpochScores = list[tuple[int, float | None, float | None]]
"""(epoch, metric in validation, metric in test or None), as the run logged them."""


class Trained(NamedTuple):
    """One training run.

    Attributes:
        curve: what it logged.
        seconds: of the run, over all its starts.
        folder: its ``--save-dir``.
    """

    curve: EpochScores
    seconds: float
    folder: Path


def run(cell: Cell, parts: Parts, numbers: Mapping[str, Any]) -> CellOutcome:
    """Fine-tune with one setting and predict with the best checkpoint."""
    name = "-".join(f"{key}={value}" for key, value in numbers.items()) or "run"
    trained = train_cell(cell, numbers, cell.run / name)
    started = time.monotonic()
    middle = middle_of(parts["train"].targets)
    predicted = predict_parts(trained.folder, Path(cell.stores), ("valid", "test"))
    (valid, absent_valid), (test, absent_test) = (filled(part, middle) for part in predicted)
    return CellOutcome(
        valid,
        test,
        dict(numbers),
        {"train": trained.seconds, "predict": time.monotonic() - started},
        {
            "curve": trained.curve,
            "test_selected": best_on_test(trained.curve, cell.rises),
            "run": str(trained.folder),
            "not_predicted": {"valid": absent_valid, "test": absent_test},
        },
    )


def command(cell: Cell, numbers: Mapping[str, Any], folder: Path, has_gpu: bool) -> list[str]:
    """The training command of a cell.

    Args:
        cell: what to train.
        numbers: of :class:`Training` that stand over the cell's.
        folder: ``--save-dir``.
        has_gpu: whether there is a GPU of CUDA; float16 is left out without one.
    """
    options = cell.options
    training = Training(**(options["training"] | dict(numbers)))
    if not has_gpu:
        training = Training(**(options["training"] | dict(numbers) | {"fp16": False}))
    flags = train_flags(cell.task, cell.metric, options["loss"], training, ("all",), options["input_mode"])
    start = ["--finetune-from-model", cell.checkpoint] if cell.checkpoint else []
    return [
        *(sys.executable, "-m", "moleblend_plugin.trainer.main", cell.stores),
        *("--arch", options["arch"], *flags, "--seed", str(cell.seed)),
        *("--save-dir", str(folder), "--tmp-save-dir", str(folder / "tmp")),
        *("--valid-subset", "valid,test" if cell.track_test else "valid"),
        *("--no-epoch-checkpoints", "--log-format", "simple", "--log-interval", "100", "--num-workers", "0"),
        *start,
        *options["flags"],
    ]


def train_cell(cell: Cell, numbers: Mapping[str, Any], folder: Path) -> Trained:
    """Train, or resume an interrupted run of the same settings.

    Raises:
        SystemExit: the run failed, with its exit code; the reason is the last that the cell's log says.
        MoleblendError: it ended well but validated never.
    """
    from moleblend_plugin.runs.devices import device_type

    words = command(cell, numbers, folder, device_type() == "cuda")
    sys.stdout.write(f"training: {shlex.join(words[1:])}\n")
    sys.stdout.flush()
    done = subprocess.run(words, check=False)
    if done.returncode:
        raise SystemExit(done.returncode if done.returncode > 0 else 128 - done.returncode)
    if not (folder / BEST_CHECKPOINT).is_file():
        raise MoleblendError(f"{cell.label} left no best checkpoint: remove --no-save, --disable-validation")
    return Trained(*read_log(folder / EVENT_LOG, cell.metric), folder)


def read_log(path: Path, metric: str) -> tuple[EpochScores, float]:
    """Metric per epoch and the seconds of a run, from its ``train.jsonl``; a repeated epoch counts once."""
    scores: dict[int, dict[str, float]] = {}
    seconds = 0.0
    for event in read_events(path):
        if event.get("event") == "valid" and isinstance(event.get(metric), int | float):
            scores.setdefault(int(event["epoch"]), {})[event["subset"]] = float(event[metric])
        seconds = max(seconds, float(event.get("wall") or 0.0))
    curve: EpochScores = [(epoch, one.get("valid"), one.get("test")) for epoch, one in sorted(scores.items())]
    return curve, seconds


def best_on_test(curve: EpochScores, rises: bool) -> float | None:
    """The best test score of any epoch: what selecting on the test part would report. Never our result."""
    scores = [test for _, _, test in curve if test is not None and test == test]
    return (max if rises else min)(scores) if scores else None


def predict_parts(folder: Path, stores: Path, parts: tuple[str, ...]) -> list[Float64Array]:
    """Predictions [M, T] of the best checkpoint for some parts, averaged over conformers."""
    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.inference.predictor import Predictor

    predictor = Predictor.from_checkpoint(folder / BEST_CHECKPOINT)
    return [predictor.predict_store(MoleculeStore(stores / f"{part}.lmdb")) for part in parts]


def tidy(cell: Cell, chosen: Path) -> None:
    """Remove what ``keep`` does not keep of the cell's runs; the log of the chosen one always stays."""
    if cell.keep == "all":
        return
    for folder in [other for other in cell.run.iterdir() if other != chosen]:
        shutil.rmtree(folder, ignore_errors=True)
    for file in chosen.glob("*.pt"):
        if cell.keep == "none" or file.name != BEST_CHECKPOINT:
            file.unlink()
    shutil.rmtree(chosen / "tmp", ignore_errors=True)
    for other in cell.run.parent.iterdir():  # of earlier settings
        if other != cell.run:
            shutil.rmtree(other, ignore_errors=True)
