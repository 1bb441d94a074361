"""The process of one cell: ``python -m moleblend_plugin.bench.run.cell_process SPEC.json``.

It trains, chooses among a grid by the validation score alone, scores the test part once, and leaves the
cell's files. Standard output and error are the cell's log.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from moleblend_plugin.bench.run.groups import end_group, leads_group
from moleblend_plugin.bench.run.split_arrays import PartArrays, read_arrays
from moleblend_plugin.bench.spec.cell_spec import Cell, copy_of_twin, write_result
from moleblend_plugin.entry import FAILED
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics.scores import SCORERS, TaskScores
from moleblend_plugin.runs.run_record import git_revision, package_versions
from moleblend_plugin.schema import PARTS, Float64Array


@dataclass
class CellOutcome:
    """What a model gave.

    Attributes:
        valid: predictions [M, T] of the validation part.
        test: predictions of the test part.
        numbers: the setting of the grid that made them.
        seconds: by step.
        notes: more to keep, by name.
    """

    valid: Float64Array
    test: Float64Array
    numbers: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


def settings_of(grid: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of a grid; one empty setting for no grid."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def score_part(cell: Cell, part: PartArrays, predictions: Float64Array) -> dict[str, TaskScores]:
    """All scores of a part."""
    scored = SCORERS[cell.task]
    return scored(part.targets, predictions, part.names)


def run_baseline(cell: Cell, parts: Mapping[str, PartArrays], numbers: Mapping[str, Any]) -> CellOutcome:
    """Fit a scikit-learn baseline of one setting."""
    from moleblend_plugin.baselines.kinds import BASELINES
    from moleblend_plugin.baselines.task_models import fit_tasks
    from moleblend_plugin.bench.run.features import features_of

    started = time.monotonic()
    folder = Path(cell.out, "features")
    train, valid, test = (features_of(parts[part], BASELINES[cell.kind].features, folder) for part in PARTS)
    ready = time.monotonic()
    targets, names = parts["train"].targets, parts["train"].names
    classify = cell.task == "classification"
    fitted = fit_tasks(cell.kind, classify, cell.seed, train, targets, names, numbers)
    predicted_valid, predicted_test = fitted.predict(valid), fitted.predict(test)
    seconds = {"features": ready - started, "train": time.monotonic() - ready}
    notes = {"one_class_in_training": list(fitted.constant)}
    return CellOutcome(predicted_valid, predicted_test, dict(numbers), seconds, notes)


def run_ours(cell: Cell, parts: Mapping[str, PartArrays], numbers: Mapping[str, Any]) -> CellOutcome:
    """Fine-tune our model with one setting and predict with its best checkpoint."""
    from moleblend_plugin.bench.run import moleblend_runs as ours

    name = "-".join(f"{key}={value}" for key, value in numbers.items()) or "run"
    trained = ours.train_cell(cell, numbers, cell.run / name)
    started = time.monotonic()
    predicted = ours.predict_parts(trained.folder, Path(cell.stores), ("valid", "test"))
    middle = np.nan_to_num(np.nanmean(parts["train"].targets, axis=0))  # [T]
    (valid, absent_valid), (test, absent_test) = (filled(part, middle) for part in predicted)
    return CellOutcome(
        valid,
        test,
        dict(numbers),
        {"train": trained.seconds, "predict": time.monotonic() - started},
        {
            "curve": trained.curve,
            "test_selected": ours.best_on_test(trained.curve, cell.rises),
            "run": str(trained.folder),
            "not_predicted": {"valid": absent_valid, "test": absent_test},
        },
    )


def filled(predictions: Float64Array, middle: Float64Array) -> tuple[Float64Array, int]:
    """Predictions [M, T] with the training mean [T] for molecules that the model cannot do, and their number.

    A molecule that is left out of one model's score would make it another test set: it counts as a guess.
    """
    absent = np.asarray(np.isnan(predictions).any(axis=1, keepdims=True))  # [M, 1]
    return np.where(absent, middle, predictions), int(absent.sum())


def run_cell(cell: Cell) -> None:
    """Run a cell and leave its files.

    Raises:
        MoleblendError: a part cannot be read, a run failed, or the folder cannot be written.
    """
    if copy_of_twin(cell):
        return
    started = time.monotonic()
    parts = {part: read_arrays(Path(cell.stores), part) for part in PARTS}
    best, tried = _best(cell, parts)
    scores = {part: score_part(cell, parts[part], getattr(best, part)) for part in ("valid", "test")}
    total = time.monotonic() - started
    write_result(
        cell,
        {
            **{part: _score_facts(found) for part, found in scores.items()},
            **best.notes,
            "chosen": best.numbers,
            "tried": tried,
            "n": {part: len(parts[part].ids) for part in PARTS},
            "tasks": len(parts["test"].names),
            "seconds": {name: round(value, 3) for name, value in {**best.seconds, "total": total}.items()},
            "cpu_seconds": round(_cpu_seconds(), 3),
            "packages": package_versions() | _more_versions(),
            "revision": git_revision(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        _arrays(parts, best),
    )
    if cell.kind == "ours":
        from moleblend_plugin.bench.run.moleblend_runs import tidy

        tidy(cell, Path(best.notes["run"]))


def _best(cell: Cell, parts: Mapping[str, PartArrays]) -> tuple[CellOutcome, list[dict[str, Any]]]:
    """The outcome whose validation score is best, and the validation score of every setting."""
    runners = {"ours": run_ours, "chemprop": _run_chemprop}
    runner = runners.get(cell.kind, run_baseline)
    best: CellOutcome | None = None
    best_score = float("nan")
    tried = []
    for numbers in settings_of(cell.options.get("grid", {})):
        outcome = runner(cell, parts, numbers)
        found = score_part(cell, parts["valid"], outcome.valid)[cell.metric].mean
        tried.append({"numbers": numbers, "valid": found})
        better = found > best_score if cell.rises else found < best_score
        if best is None or better or (best_score != best_score and found == found):
            best, best_score = outcome, found
    assert best is not None  # a grid has at least one setting
    return best, tried


def _run_chemprop(cell: Cell, parts: Mapping[str, PartArrays], numbers: Mapping[str, Any]) -> CellOutcome:
    from moleblend_plugin.bench.run.chemprop import run_chemprop

    started = time.monotonic()
    valid, test = run_chemprop(cell, parts)
    return CellOutcome(valid, test, dict(numbers), {"train": time.monotonic() - started})


def _score_facts(scores: Mapping[str, TaskScores]) -> dict[str, Any]:
    return {
        "scores": {name: found.mean for name, found in scores.items()},
        "per_task": {name: found.per_task for name, found in scores.items()},
        "left_out": {name: list(found.left_out) for name, found in scores.items()},
    }


def _arrays(parts: Mapping[str, PartArrays], best: CellOutcome) -> dict[str, Any]:
    arrays: dict[str, Any] = {"names": np.array(parts["test"].names)}
    for part, predictions in (("valid", best.valid), ("test", best.test)):
        arrays |= {
            f"{part}_ids": np.array(parts[part].ids),
            f"{part}_targets": parts[part].targets,
            f"{part}_predictions": np.asarray(predictions, np.float64),
        }
    return arrays


def _cpu_seconds() -> float:
    """Processor time of this process and of those it waited for (on Windows: of this process)."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _more_versions() -> dict[str, str]:
    from importlib import metadata

    return {name: metadata.version(name) for name in ("scikit-learn", "scipy")}


def end_with_parent(parent: int) -> None:
    """End this process and those it started when ``parent`` is gone: nobody would look after them."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        end_group(os.getpid(), now=False)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """Run the cell of the file named on the command line."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if leads_group():  # the runner started it
        end_with_parent(os.getppid())
    try:
        run_cell(Cell(**spec))
    except MoleblendError as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
