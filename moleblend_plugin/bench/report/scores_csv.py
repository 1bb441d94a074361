"""``scores.csv`` of a comparison: a row per cell."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.bench.report.summary import CellGroups, Plan
from moleblend_plugin.files import replacing

FIELDS: Final = (
    "set", "model", "kind", "seed", "status", "metric", "valid", "test", "test_selected", "n_train",
    "n_valid", "n_test", "tasks", "tasks_left_out", "chosen", "seconds", "cpu_seconds", "settings_hash",
    "error",
)  # fmt: skip


def write_scores(plan: Plan, groups: CellGroups, path: Path) -> None:
    """One row per cell: finished, failed and not yet run."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, FIELDS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(score_rows(plan, groups))


def score_rows(plan: Plan, groups: CellGroups) -> Iterator[dict[str, Any]]:
    """The rows of ``scores.csv``."""
    for (name, model), group in groups.items():
        for seed in plan.seeds:
            row = {
                "set": name,
                "model": model,
                "kind": plan.models[model],
                "seed": seed,
                "metric": plan.sets[name],
            }
            if seed in group.results:
                yield row | _numbers(group.results[seed], plan.sets[name])
            else:
                error = group.failed.get(seed)
                yield row | {"status": "failed" if error else "not run", "error": error or ""}


def _numbers(result: Mapping[str, Any], metric: str) -> dict[str, Any]:
    selected = result.get("test_selected")
    return {
        "status": "done",
        "valid": _exact(result["valid"]["scores"][metric]),
        "test": _exact(result["test"]["scores"][metric]),
        "test_selected": "" if selected is None else _exact(selected),
        **{f"n_{part}": count for part, count in result["n"].items()},
        "tasks": result["tasks"],
        "tasks_left_out": len(result["test"]["left_out"][metric]),
        "chosen": " ".join(f"{key}={value}" for key, value in result["chosen"].items()),
        "seconds": result["seconds"]["total"],
        "cpu_seconds": result["cpu_seconds"],
        "settings_hash": result["hash"],
    }


def _exact(value: float) -> str:
    return f"{value:.6g}"
