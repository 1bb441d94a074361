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
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from moleblend_plugin.baselines.kinds import BASELINES
from moleblend_plugin.bench.run.groups import end_group, leads_group
from moleblend_plugin.bench.run.outcome import CellOutcome, Runner
from moleblend_plugin.bench.run.split_arrays import PartArrays, read_arrays
from moleblend_plugin.bench.run.usage import Tally
from moleblend_plugin.bench.spec.cell_spec import Cell, copy_of_twin, write_result
from moleblend_plugin.entry import FAILED
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics.scores import SCORERS, TaskScores
from moleblend_plugin.runs.run_record import git_revision, package_versions
from moleblend_plugin.schema import PARTS, Float64Array

RUNNERS: Final = {
    "ours": "moleblend_runs",
    "ours-ensemble": "ensemble",
    "ours-stack": "ensemble",
    "ours-frozen": "frozen",
    "chemprop": "chemprop",
    "minimol": "minimol",
    **dict.fromkeys(BASELINES, "forests"),
}
"""By kind of model, the module of this folder whose ``run`` trains one (``outcome.Runner``)."""


def settings_of(grid: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of a grid; one empty setting for no grid."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def score_part(cell: Cell, part: PartArrays, predictions: Float64Array) -> dict[str, TaskScores]:
    """All scores of a part."""
    scored = SCORERS[cell.task]
    return scored(part.targets, predictions, part.names)


def run_cell(cell: Cell, tally: Tally) -> None:
    """Run a cell and leave its files.

    Raises:
        MoleblendError: a part cannot be read, a run failed, or the folder cannot be written.
    """
    if copy_of_twin(cell):
        return
    parts = {part: read_arrays(Path(cell.stores), part) for part in PARTS}
    best, tried = _best(cell, parts)
    scores = {part: score_part(cell, parts[part], getattr(best, part)) for part in ("valid", "test")}
    used = tally.used()
    write_result(
        cell,
        {
            **{part: _score_facts(found) for part, found in scores.items()},
            **best.notes,
            "chosen": best.numbers,
            "tried": tried,
            "n": {part: len(parts[part].ids) for part in PARTS},
            "tasks": len(parts["test"].names),
            "seconds": {name: round(value, 3) for name, value in best.seconds.items()}
            | {"total": round(used.seconds, 3)},
            "cpu_seconds": round(used.cpu_seconds + best.kept_cpu_seconds, 3),
            "packages": package_versions() | _more_versions() | best.packages,
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
    runner: Runner = import_module(f"{__package__}.{RUNNERS[cell.kind]}").run
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


def _more_versions() -> dict[str, str]:
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
    cell = Cell(**spec)
    tally = Tally(cell)
    tally.keep_on()
    finished = False
    try:
        run_cell(cell, tally)
        finished = True
    except MoleblendError as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    finally:
        tally.end(finished)
    return 0


if __name__ == "__main__":
    sys.exit(main())
