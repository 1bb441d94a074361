"""Numbers of a comparison from the cells it left: means, spreads, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.bench.run.set_table import about_sample
from moleblend_plugin.bench.spec.cell_spec import CellResult, read_result
from moleblend_plugin.bench.spec.config import BenchConfig
from moleblend_plugin.bench.spec.model_spec import KIND_NOTES, OURS
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing

PLAN: Final = "plan.json"
"""What a comparison consists of, so that its report can be made again without its inputs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Names of what is compared, in order.

    Attributes:
        sets: by name, the metric.
        splits: by set, the split.
        models: by name, the kind.
        seeds: of every cell.
        notes: what else is to be known of sets and models, a sentence each.
    """

    sets: dict[str, str]
    splits: dict[str, str]
    models: dict[str, str]
    seeds: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def ours(self) -> list[str]:
        """Models of this package, in order."""
        return [model for model, kind in self.models.items() if kind in OURS]

    @property
    def baselines(self) -> list[str]:
        """The other models, in order."""
        return [model for model, kind in self.models.items() if kind not in OURS]

    @classmethod
    def of(cls, config: BenchConfig) -> Plan:
        """The names of a configuration."""
        return cls(
            sets={spec.name: spec.metric for spec in config.sets},
            splits={spec.name: _short(spec.split) for spec in config.sets},
            models={model.name: model.kind for model in config.models},
            seeds=config.seeds,
            notes=tuple(_notes(config)),
        )

    def write(self, out: Path) -> None:
        """Keep it in the folder of the comparison."""
        out.mkdir(parents=True, exist_ok=True)
        with replacing(out / PLAN) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, out: Path) -> Plan:
        """Read it back.

        Raises:
            MoleblendError: there is none.
        """
        try:
            raw = json.loads((out / PLAN).read_text(encoding="utf-8"))
            notes = tuple(raw.get("notes", ()))  # plans of older versions have none
            return cls(raw["sets"], raw["splits"], raw["models"], tuple(raw["seeds"]), notes)
        except (OSError, ValueError, KeyError, TypeError):
            raise MoleblendError(
                f"{out / PLAN} cannot be read: give the --out of a comparison that was run"
            ) from None


def _notes(config: BenchConfig) -> Iterator[str]:
    yield from filter(None, map(about_sample, config.sets))
    for model in config.models:
        if note := KIND_NOTES.get(model.kind):
            yield f"{model.name}: {note}"


def _short(split: str) -> str:
    kind, colon, rest = split.partition(":")
    return f"rows:{Path(rest).name}" if kind == "rows" and colon else split


class CellGroup(NamedTuple):
    """The cells of one set and one model.

    Attributes:
        set: its name.
        model: its name.
        results: what finished, by seed.
        failed: why others did not, by seed.
        folder: where the cells lie.
    """

    set: str
    model: str
    results: dict[int, CellResult]
    failed: dict[int, str]
    folder: Path

    def scores(self, part: str, metric: str) -> list[float]:
        """The mean over tasks, per seed, of ``valid`` or ``test``."""
        return [float(result[part]["scores"][metric]) for result in self.results.values()]

    def test_selected(self) -> list[float]:
        """What selecting on the test part would report, per seed; empty where no epochs were chosen among."""
        found = [result.get("test_selected") for result in self.results.values()]
        return [float(value) for value in found if value is not None]

    def arrays(self, seed: int) -> dict[str, npt.NDArray[Any]]:
        """Predictions of a seed."""
        with np.load(self.folder / f"{seed}.npz", allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}


CellGroups = Mapping[tuple[str, str], CellGroup]
"""By set and model."""


def read_groups(plan: Plan, out: Path) -> dict[tuple[str, str], CellGroup]:
    """All cells of a comparison by (set, model); what never ran is in neither of a group's lists."""
    groups = {}
    for name in plan.sets:
        for model in plan.models:
            folder = out / "cells" / name / model
            found = {seed: read_result(folder / f"{seed}.json") for seed in plan.seeds}
            done = {seed: one for seed, one in found.items() if one and one["status"] == "done"}
            failed = {seed: str(one["error"]) for seed, one in found.items() if one and seed not in done}
            groups[name, model] = CellGroup(name, model, done, failed, folder)
    return groups


def mean_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over seeds; the latter is NaN for a single one."""
    if not values:
        return float("nan"), float("nan")
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
