"""Numbers of a comparison from the cells it left: means, spreads, paired differences, and what is missing.

Legend: M molecules, T tasks, S seeds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.bench.spec.cell_spec import CellResult, read_result
from moleblend_plugin.bench.spec.config import BenchConfig
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.metrics.bootstrap import holm, paired_difference
from moleblend_plugin.metrics.scores import METRICS

PLAN: Final = "plan.json"
"""What a comparison consists of, so that its report can be made again without its inputs."""

RESAMPLES: Final = 1000
FINE_RESAMPLES: Final = 5000
_CANDIDATE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """Names of what is compared, in order.

    Attributes:
        sets: by name, the metric.
        splits: by set, the split.
        models: by name, the kind.
        seeds: of every cell.
    """

    sets: dict[str, str]
    splits: dict[str, str]
    models: dict[str, str]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, config: BenchConfig) -> Plan:
        """The names of a configuration."""
        return cls(
            sets={spec.name: spec.metric for spec in config.sets},
            splits={spec.name: _short(spec.split) for spec in config.sets},
            models={model.name: model.kind for model in config.models},
            seeds=config.seeds,
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
            return cls(raw["sets"], raw["splits"], raw["models"], tuple(raw["seeds"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise MoleblendError(
                f"{out / PLAN} cannot be read: give the --out of a comparison that was run"
            ) from None


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


class Comparison(NamedTuple):
    """One of our models against another on one set.

    Attributes:
        set: its name.
        ours: the model whose score comes first.
        other: the one that is subtracted.
        difference: mean over seeds of the score of ours less that of the other.
        low: lower end of the 95 % interval over resampled test molecules.
        high: upper end.
        p: two-sided.
        p_all: the same corrected for all comparisons that are made together (Holm).
        verdict: better, worse, or no clear difference, which is what an interval with 0 in it says.
    """

    set: str
    ours: str
    other: str
    difference: float
    low: float
    high: float
    p: float
    p_all: float
    verdict: str


def compare(ours: CellGroup, other: CellGroup, metric: str) -> Comparison | None:
    """Paired bootstrap over test molecules of the mean over the seeds that both have; ``None`` without any.

    The seeds are laid side by side as if they were tasks: the mean over S x T columns is the mean over
    seeds of the mean over tasks, and each resample draws the same molecules for all of them.

    Raises:
        MoleblendError: the two were not scored on the same molecules.
    """
    seeds = sorted(ours.results.keys() & other.results.keys())
    if not seeds:
        return None
    first, second = ([group.arrays(seed) for seed in seeds] for group in (ours, other))
    ids = [one["test_ids"].tolist() for one in (*first, *second)]
    if any(one != ids[0] for one in ids):
        raise MoleblendError(
            f"{ours.set}: {ours.model} and {other.model} have other test rows; run both again"
        )
    targets = np.concatenate([one["test_targets"] for one in first], axis=1)  # [M, S T]
    a, b = (np.concatenate([one["test_predictions"] for one in group], axis=1) for group in (first, second))
    found = paired_difference(metric, targets, a, b, n=RESAMPLES, seed=0)
    if found.p <= _CANDIDATE:  # a correction for many comparisons needs smaller p than few resamples give
        found = paired_difference(metric, targets, a, b, n=FINE_RESAMPLES, seed=0)
    better = found.low > 0 if METRICS[metric].rises else found.high < 0
    worse = found.high < 0 if METRICS[metric].rises else found.low > 0
    verdict = "better" if better else "worse" if worse else "no clear difference"
    return Comparison(ours.set, ours.model, other.model, *found[:4], found.p, verdict)


def comparisons(plan: Plan, groups: CellGroups) -> list[Comparison]:
    """Each of our models against every other model, and against our models that stand after it."""
    found = []
    names = list(plan.models)
    for name, metric in plan.sets.items():
        for place, model in enumerate(names):
            if plan.models[model] != "ours":
                continue
            for where, other in enumerate(names):
                if other != model and (plan.models[other] != "ours" or where > place):
                    found.append(compare(groups[name, model], groups[name, other], metric))
    compared = [one for one in found if one is not None]
    corrected = holm([one.p for one in compared])
    return [one._replace(p_all=p) for one, p in zip(compared, corrected, strict=True)]
