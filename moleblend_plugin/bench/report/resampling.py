"""Scores of a model on resampled test molecules, made once and kept beside the cell.

Every model of a set is scored on the same resamples, so a paired difference is the difference of two such
arrays, and all pairs of a table cost no more than its models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple
from zipfile import BadZipFile

import numpy as np

from moleblend_plugin.bench.report.summary import CellGroup
from moleblend_plugin.files import replacing
from moleblend_plugin.metrics.bootstrap import interval_of, resamples
from moleblend_plugin.metrics.scores import METRICS, SCORERS
from moleblend_plugin.schema import Float64Array

RESAMPLES: Final = 1000


class Resampled(NamedTuple):
    """A score and what resampling makes of it.

    Attributes:
        score: on all test molecules.
        scores: on each resample in which it is defined, [S].
    """

    score: float
    scores: Float64Array


def resampled(group: CellGroup, seeds: Sequence[int], metric: str, n: int = RESAMPLES) -> Resampled:
    """The mean over seeds of the score of one model, on all test molecules and on ``n`` resamples.

    Which tasks and resamples are defined depends on labels alone, so seeds can be averaged.
    """
    found = [_of_seed(group, seed, metric, n) for seed in seeds]
    scores: Float64Array = np.mean([one.scores for one in found], axis=0)
    return Resampled(float(np.mean([one.score for one in found])), scores)


def interval(group: CellGroup, metric: str) -> tuple[float, float]:
    """95 % percentile interval of the mean over all seeds that are there; NaN of nothing."""
    if not group.results:
        return float("nan"), float("nan")
    return interval_of(resampled(group, sorted(group.results), metric).scores)


def _of_seed(group: CellGroup, seed: int, metric: str, n: int) -> Resampled:
    made = (group.folder / f"{seed}.npz").stat().st_mtime_ns
    return _of_file(group.folder / f"{seed}.npz", made, metric, n)


@lru_cache(maxsize=4096)
def _of_file(predictions: Path, made: int, metric: str, n: int) -> Resampled:
    """Of one cell; ``made`` is when its file was written: a file of the same name may be a new one."""
    with np.load(predictions, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in ("names", "test_targets", "test_predictions")}
    targets, values = arrays["test_targets"], arrays["test_predictions"]
    names = [str(name) for name in arrays["names"]]
    score = SCORERS[METRICS[metric].kind](targets, values, names)[metric].mean
    content = hashlib.sha256(f"{metric} {targets.shape}".encode())
    for array in (targets, values):
        content.update(np.ascontiguousarray(array).tobytes())
    path = predictions.with_suffix(f".resamples-{n}.npz")
    unusable = suppress(OSError, ValueError, EOFError, KeyError, BadZipFile)
    with unusable, np.load(path, allow_pickle=False) as archive:
        if str(archive["of"]) == content.hexdigest():
            return Resampled(score, archive["scores"])
    scores = resamples(metric, targets, values, n, seed=0).scores
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, scores=scores, of=np.array(content.hexdigest()))
    return Resampled(score, scores)
