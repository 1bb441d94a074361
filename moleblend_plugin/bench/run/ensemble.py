"""Our networks in a comparison, several of them: the mean of their predictions, or their stack with forests.

The networks are the members of a cross-validation (``inference/estimators/members.py``). Which rows it
shares out is the model's ``fold_rows``: ``train``, where the validation part chooses the epoch and no
network is trained on it, or ``train+valid``, where every row of both parts is trained on by all members but
one, whose prediction of it is the row's validation score. The test part is predicted once, by what is then
fixed.

Trained members are kept as their predictions in ``OUT/features``: an ensemble and a stack of the same
settings share them, and each counts their processor seconds.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from moleblend_plugin.baselines.features import FEATURES
from moleblend_plugin.baselines.kinds import BASELINES
from moleblend_plugin.bench.run.features import features_of
from moleblend_plugin.bench.run.moleblend_runs import command
from moleblend_plugin.bench.run.outcome import CellOutcome, Parts, filled, middle_of
from moleblend_plugin.bench.run.usage import MADE, cpu_seconds
from moleblend_plugin.bench.spec.cell_spec import Cell
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.files import replacing
from moleblend_plugin.inference.conversion import read_conversion
from moleblend_plugin.inference.ensemble_file import EnsembleFile, read_ensemble, write_ensemble
from moleblend_plugin.inference.estimators.ensemble import TrainingPart, folds_of
from moleblend_plugin.inference.estimators.members import (
    LabelledRecords,
    MemberSettings,
    fold_runs,
    out_of_fold,
    train_members,
)
from moleblend_plugin.inference.predictor import Ensemble, Predictor
from moleblend_plugin.inference.stack import DESCRIPTORS
from moleblend_plugin.inference.stack_fit import FORESTS, TrainingRows, fit_stack
from moleblend_plugin.metrics.scores import SCORERS
from moleblend_plugin.runs.devices import device_type
from moleblend_plugin.schema import PARTS, Float64Array, MoleculeRecord

MODEL: Final = "ensemble.pt"
"""In the folder of a cell's runs: the networks, and the stack if there is one, for ``moleblend predict``."""

_FEATURES: Final = tuple(dict.fromkeys(name for kind in FORESTS for name in BASELINES[kind].features))

_HEAD_INPUTS: Final = ("descriptors", "ecfp")
"""What stores may hold for the heads of networks."""


class FoldedRows(NamedTuple):
    """Rows of training and validation, and their folds.

    Attributes:
        part: training molecules, then those of validation.
        valid: int64, places of the latter.
        folds: int64 [n], -1 for rows that are in no fold.
    """

    part: TrainingPart
    valid: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]


class Networks(NamedTuple):
    """Predictions of trained members, and how they were chosen.

    Attributes:
        out_of_fold: [n, T], NaN for rows in no fold.
        valid: mean of the members [., T]; of rows that members were trained on it is no validation.
        test: mean of the members.
        curve: [E, 2], epochs and the mean of the validation metric.
        epoch: the one that all are of.
        kept_cpu_seconds: what training took in an earlier cell.
    """

    out_of_fold: Float64Array
    valid: Float64Array
    test: Float64Array
    curve: Float64Array
    epoch: int
    kept_cpu_seconds: float = 0.0


class Combined(NamedTuple):
    """What an ensemble or a stack predicts.

    Attributes:
        out_of_fold: [n, T], NaN for rows in no fold.
        valid: by what was trained on all folds.
        test: the same.
        file: networks and stack.
        notes: to keep.
        kept_cpu_seconds: what features took in an earlier cell.
    """

    out_of_fold: Float64Array
    valid: Float64Array
    test: Float64Array
    file: EnsembleFile
    notes: dict[str, Any]
    kept_cpu_seconds: float = 0.0


def run(cell: Cell, parts: Parts, numbers: Mapping[str, Any]) -> CellOutcome:
    """Train the members with one setting and, for a stack, the forests and weights."""
    started, options = time.monotonic(), cell.options
    rows = _rows(cell)
    networks, members = _networks(cell, rows, numbers)
    trained = time.monotonic()
    if cell.kind == "ours-stack":
        found = _stack(cell, parts, rows, networks, members)
    else:
        found = Combined(networks.out_of_fold, networks.valid, networks.test, EnsembleFile(members), {})
    if members:
        cell.run.mkdir(parents=True, exist_ok=True)
        write_ensemble(cell.run / MODEL, found.file)
    middle = middle_of(parts["train"].targets)
    cross_validated = options["fold_rows"] != "train"
    valid, absent_valid = filled(found.out_of_fold[rows.valid] if cross_validated else found.valid, middle)
    test, absent_test = filled(found.test, middle)
    notes = {name: options[name] for name in ("fold_rows", "folds", "ensemble_size")} | found.notes
    return CellOutcome(
        valid,
        test,
        dict(numbers),
        {"train": trained - started, "stack": time.monotonic() - trained},
        notes
        | {
            "epoch": networks.epoch,
            "mean_curve": networks.curve.tolist(),
            "not_predicted": {"valid": absent_valid, "test": absent_test},
        },
        kept_cpu_seconds=networks.kept_cpu_seconds + found.kept_cpu_seconds,
    )


def _stack(
    cell: Cell, parts: Parts, rows: FoldedRows, networks: Networks, members: tuple[bytes, ...]
) -> Combined:
    """Forests and weights on the rows that are in folds."""
    inside, names = rows.folds >= 0, rows.part.names
    blocks = {part: _blocks(cell, parts, part) for part in PARTS}
    features = {
        name: np.concatenate([blocks[part].values[name] for part in ("train", "valid")])[inside]
        for name in _FEATURES
    }
    columns, targets = FEATURES[DESCRIPTORS](["C"]).names, rows.part.targets[inside]
    grouped = cell.options["folds"] == "scaffold"
    training = TrainingRows(features, columns, targets, names, rows.folds[inside], grouped=grouped)
    found = fit_stack(training, networks.out_of_fold[inside], cell.task, cell.seed)
    out_of_fold = np.full_like(networks.out_of_fold, np.nan)
    out_of_fold[inside] = found.combined
    each = dict(zip(found.stack.base_models, found.out_of_fold, strict=True)) | {"stack": found.combined}
    scored = SCORERS[cell.task]
    weights = zip(found.stack.base_models, found.stack.weights.round(4).tolist(), strict=True)
    plain, forests = found.stack.to_file()
    return Combined(
        out_of_fold,
        found.stack.combine_features(networks.valid, blocks["valid"].values),
        found.stack.combine_features(networks.test, blocks["test"].values),
        EnsembleFile(members, plain, forests),
        {
            "weights": dict(weights),
            "out_of_fold": {
                name: scored(targets, predicted, names)[cell.metric].mean for name, predicted in each.items()
            },
        },
        sum(one.kept_cpu_seconds for one in blocks.values()),
    )


def _rows(cell: Cell) -> FoldedRows:
    """Training and validation molecules, and their folds."""
    stores = [MoleculeStore(Path(cell.stores, f"{part}.lmdb")) for part in ("train", "valid")]
    records: list[MoleculeRecord] = [record for store in stores for record in store]
    train, names = len(stores[0]), tuple(stores[0].meta.target_names)
    conversion = read_conversion(stores[0].meta.settings.get("conversion") or {})
    targets = np.stack([record.targets for record in records]).astype(np.float64)
    held = tuple(name for name in _HEAD_INPUTS if name in stores[0].meta.settings)
    part = TrainingPart(LabelledRecords(records, names, conversion, held), targets, names)
    places = np.arange(len(records))
    shared_out = places[:train] if cell.options["fold_rows"] == "train" else places
    chosen = TrainingPart(
        LabelledRecords([records[place] for place in shared_out], names, conversion),
        targets[shared_out],
        names,
    )
    folds = np.full(len(records), -1)
    size, how = cell.options["ensemble_size"], cell.options["folds"]
    folds[shared_out] = folds_of(chosen, cell.task, size, how, cell.seed)
    return FoldedRows(part, places[train:], folds)


def _networks(cell: Cell, rows: FoldedRows, numbers: Mapping[str, Any]) -> tuple[Networks, tuple[bytes, ...]]:
    """Predictions of the members, trained now or by an earlier cell; checkpoints where those are kept."""
    settings = cell.settings() | {"kind": "members", "numbers": dict(numbers)}
    name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    path = Path(cell.out, "features", f"members-{name}.npz")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in Networks._fields}
        cost = 0.0 if path.name in MADE else float(arrays["kept_cpu_seconds"])
        found = Networks(**arrays | {"epoch": int(arrays["epoch"]), "kept_cpu_seconds": cost})
        models = path.with_suffix(".pt")
        return found, read_ensemble(models).members if models.is_file() and cell.keep != "none" else ()
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        before = cpu_seconds()
        found, members = _train(cell, rows, numbers)
        used = cpu_seconds() - before
    path.parent.mkdir(parents=True, exist_ok=True)
    if cell.keep != "none":
        write_ensemble(path.with_suffix(".pt"), EnsembleFile(members))
    with replacing(path) as temporary, temporary.open("wb") as stream:
        kept = found._replace(kept_cpu_seconds=used)._asdict()
        np.savez(stream, **{key: np.asarray(value) for key, value in kept.items()})  # type: ignore[arg-type]
    MADE.add(path.name)
    return found, members if cell.keep != "none" else ()


def _train(cell: Cell, rows: FoldedRows, numbers: Mapping[str, Any]) -> tuple[Networks, tuple[bytes, ...]]:
    has_gpu = device_type() == "cuda"

    def arguments(data: Path, run: Path, seed: int) -> Sequence[str]:
        one = replace(cell, stores=str(data), seed=seed, track_test=False)
        return command(one, numbers, run, has_gpu)[3:]  # without "python -m module"

    valid = rows.valid if cell.options["fold_rows"] == "train" else None
    runs = fold_runs(rows.folds, cell.seed, valid)
    members = train_members(rows.part.labelled, runs, MemberSettings(arguments, cell.metric, cell.rises))
    ensemble = Ensemble([Predictor.from_bytes(checkpoint) for checkpoint in members.checkpoints])
    records = rows.part.labelled.records
    predicted = {
        part: ensemble.predict_store(MoleculeStore(Path(cell.stores, f"{part}.lmdb")))
        for part in ("valid", "test")
    }
    networks = Networks(
        out_of_fold(ensemble.networks, records, rows.folds),
        predicted["valid"],
        predicted["test"],
        np.array(sorted(members.curve.items())),
        members.epoch,
    )
    return networks, members.checkpoints


class PartBlocks(NamedTuple):
    """Features of a part by name, and the processor seconds of those that were there already."""

    values: dict[str, npt.NDArray[Any]]
    kept_cpu_seconds: float


def _blocks(cell: Cell, parts: Parts, part: str) -> PartBlocks:
    made = {name: features_of(parts[part], (name,), Path(cell.out, "features")) for name in _FEATURES}
    values = {name: one.values for name, one in made.items()}
    return PartBlocks(values, sum(one.kept_cpu_seconds for one in made.values()))
