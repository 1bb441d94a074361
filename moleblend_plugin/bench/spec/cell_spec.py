"""A cell of the comparison: one set, one model, one seed; what it is asked to do and the file it leaves.

``OUT/cells/<set>/<model>/<seed>.json`` holds scores, seconds, versions and the hash of the settings that made
them; ``<seed>.npz`` beside it holds the predictions. The JSON appears last and in one step, so a cell whose
JSON can be read and carries the right hash is finished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from moleblend_plugin.baselines.kinds import BASELINES
from moleblend_plugin.baselines.learners import DETERMINISTIC
from moleblend_plugin.bench.spec.config import BenchConfig, SetSpec
from moleblend_plugin.bench.spec.model_spec import FINE_TUNED, ModelSpec
from moleblend_plugin.data.store.meta import fingerprint
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.version import __version__

RESULT_VERSION: Final = 2
"""Goes into every hash: raise it when results of older versions may not be mixed with new ones."""

SEEDLESS: Final = frozenset(kind for kind, made in BASELINES.items() if made.learner in DETERMINISTIC)
"""Kinds that draw nothing at random: one seed's result is every seed's."""

CellResult = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """One run, in plain values: it travels to its process as JSON.

    Attributes:
        out: folder of the comparison.
        stores: folder with ``train.lmdb``, ``valid.lmdb``, ``test.lmdb``.
        set: name of the set.
        model: name of the model.
        kind: kind of the model.
        seed: of the run.
        metric: what selects and is compared.
        stored: fingerprint of each store.
        options: what else determines the result.
        checkpoint: file to start from, or "".
        python: interpreter that has the model's packages, or "" for this one.
        threads: for this run.
        keep: what stays of a training run.
        track_test: whether the test score of every epoch is logged.
    """

    out: str
    stores: str
    set: str
    model: str
    kind: str
    seed: int
    metric: str
    stored: dict[str, str]
    options: dict[str, Any]
    checkpoint: str = ""
    python: str = ""
    threads: int = 1
    keep: str = "best"
    track_test: bool = True

    @property
    def task(self) -> ColumnKind:
        """classification or regression."""
        return METRICS[self.metric].kind

    @property
    def rises(self) -> bool:
        """Whether a larger metric is better."""
        return METRICS[self.metric].rises

    @property
    def path(self) -> Path:
        """The file that holds the result."""
        return Path(self.out, "cells", self.set, self.model, f"{self.seed}.json")

    @property
    def log(self) -> Path:
        """What its process printed."""
        return Path(self.out, "logs", self.set, self.model, f"{self.seed}.log")

    @property
    def label(self) -> str:
        """As messages name it."""
        return f"{self.set} / {self.model} / seed {self.seed}"

    def settings(self) -> dict[str, Any]:
        """What determines the result, in plain values."""
        facts = {
            "format": RESULT_VERSION,
            "version": __version__,
            "kind": self.kind,
            "seed": None if self.kind in SEEDLESS else self.seed,
            "metric": self.metric,
            "stores": self.stored,
            "options": self.options,
        }
        return facts | ({"track_test": self.track_test} if self.kind == "ours" else {})

    @property
    def hash(self) -> str:
        """sha256 (hex) of :meth:`settings`."""
        return fingerprint(self.settings())

    @property
    def run(self) -> Path:
        """Folder of its training runs; other settings, another folder."""
        return Path(self.out, "runs", self.set, self.model, str(self.seed), self.hash[:12])


def planned_cells(
    config: BenchConfig, out: Path, stores: Mapping[str, Mapping[str, str]], checkpoints: Mapping[str, str]
) -> list[Cell]:
    """Cells of the sets that have stores: set by set, model by model, seed by seed.

    Args:
        config: the comparison.
        out: its folder.
        stores: by set, the fingerprint of each store.
        checkpoints: by model, sha256 of the checkpoint it starts from.
    """
    return [
        Cell(
            out=str(out),
            stores=str(store_folder(out, spec.name)),
            set=spec.name,
            model=model.name,
            kind=model.kind,
            seed=seed,
            metric=spec.metric,
            stored=dict(stores[spec.name]),
            options=_options(spec, model, checkpoints.get(model.name, "")),
            checkpoint=str(model.checkpoint.resolve()) if model.checkpoint else "",
            python=model.python,
            threads=config.threads,
            keep=config.keep,
            track_test=config.track_test,
        )
        for spec in config.sets
        if spec.name in stores
        for model in config.models
        for seed in config.seeds
    ]


def store_folder(out: Path, name: str) -> Path:
    """Where the stores of a set lie."""
    return out / "stores" / name


def _options(spec: SetSpec, model: ModelSpec, checkpoint_sha256: str) -> dict[str, Any]:
    grid = {key: list(values) for key, values in _grid(spec, model).items()}
    if model.kind not in FINE_TUNED:
        return {"grid": grid} | _choices(model, checkpoint_sha256)
    several = {}
    if model.kind != "ours":
        several = {"ensemble_size": model.ensemble_size, "folds": model.folds, "fold_rows": model.fold_rows}
    return several | {
        "grid": grid,
        "arch": model.arch,
        "checkpoint_sha256": checkpoint_sha256,
        "input_mode": model.input_mode or "both",
        "flags": list(model.flags),
        "loss": spec.loss if spec.kind == "regression" else "",
        "training": asdict(spec.training) | dict(model.training or {}),
    }


def _choices(model: ModelSpec, checkpoint_sha256: str) -> dict[str, Any]:
    """Options of a model of another kind; what is at its default is left out, so that old hashes stay."""
    told = {
        "checkpoint_sha256": checkpoint_sha256,
        "input_mode": model.input_mode,
        "readout": model.readout,
        "head": model.head,
        "join": list(model.join),
        "flags": list(model.flags),
        "ensemble_size": model.ensemble_size if model.ensemble_size > 1 else 0,
    }
    return {key: value for key, value in told.items() if value}


def _grid(spec: SetSpec, model: ModelSpec) -> Mapping[str, tuple[Any, ...]]:
    """What is chosen among on validation: the set's numbers for our models, under all that the model says."""
    own = model.grid or {}
    if model.kind not in FINE_TUNED:
        return own
    fixed = model.training or {}
    return {key: values for key, values in (spec.grid or {}).items() if key not in fixed} | dict(own)


def read_result(path: Path) -> CellResult | None:
    """What a cell left, finished or failed; ``None`` where there is nothing that can be read."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and result.get("status") in ("done", "failed") else None


def finished(cell: Cell) -> bool:
    """Whether the result is there and was made with these settings."""
    result = read_result(cell.path)
    done = result is not None and result["status"] == "done" and result.get("hash") == cell.hash
    return done and cell.path.with_suffix(".npz").is_file()


def copy_of_twin(cell: Cell) -> bool:
    """Take over the result of another seed with the same hash, which says that nothing depends on the seed.

    Returns:
        Whether there was one.
    """
    for path in sorted(cell.path.parent.glob("*.json")):
        twin = read_result(path)
        if path == cell.path or twin is None or twin["status"] != "done" or twin.get("hash") != cell.hash:
            continue
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        write_result(cell, twin | {"seed": cell.seed, "same_as_seed": twin["seed"]}, arrays)
        return True
    return False


def write_result(cell: Cell, result: CellResult, arrays: Mapping[str, Any] | None = None) -> None:
    """Write predictions, then the result; each appears in one step.

    Raises:
        MoleblendError: the folder cannot be written.
    """
    try:
        cell.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MoleblendError(f"{cell.path.parent} cannot be made ({error.strerror})") from None
    if arrays is not None:
        with replacing(cell.path.with_suffix(".npz")) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
    head = {
        "status": "done",
        "set": cell.set,
        "model": cell.model,
        "kind": cell.kind,
        "seed": cell.seed,
        "metric": cell.metric,
        "hash": cell.hash,
        "settings": cell.settings(),
    }
    with replacing(cell.path) as temporary:
        text = json.dumps(head | result, indent=1, allow_nan=True)
        temporary.write_text(text + "\n", encoding="utf-8")


def write_failure(cell: Cell, reason: str) -> None:
    """Leave a note that a cell failed; it is tried again by the next run."""
    write_result(cell, {"status": "failed", "error": reason, "log": str(cell.log)})
