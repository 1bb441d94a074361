"""The estimator of a fit: made, trained side by side, and its time estimated by a short probe.

Legend: n molecules of the training part, T targets.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.baselines.features import molecule_features
from moleblend_plugin.baselines.kinds import BASELINES
from moleblend_plugin.baselines.task_models import fit_tasks
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.entry import usable_cores
from moleblend_plugin.estimator import MoleblendClassifier, MoleblendMixed, MoleblendRegressor
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.fitting.table import FitTable, conversion_of
from moleblend_plugin.host.in_process import train_in_process
from moleblend_plugin.inference.ensemble_file import is_ensemble, read_ensemble, write_ensemble
from moleblend_plugin.inference.estimators.fit import FitConfig, train_arguments, write_store
from moleblend_plugin.inference.estimators.member_jobs import MemberJobs
from moleblend_plugin.inference.estimators.molecules import DescribedMolecules
from moleblend_plugin.inference.estimators.start import choose_start
from moleblend_plugin.inference.kept_trust import with_trust
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.stack_fit import FORESTS
from moleblend_plugin.runs.devices import choose_device
from moleblend_plugin.trust.file import write_trust

_PROBE: Final = 192
"""Molecules of the probe."""

_PROBE_TREES: Final = 12
_TREES: Final = 300

_START_SECONDS: Final = 6.0
"""Until a process has loaded torch and begins; little beside any training, so it is not measured."""

Estimator = MoleblendRegressor | MoleblendClassifier | MoleblendMixed


class NamedLabels:
    """Labels [n, T] with the names of their columns, as a frame has them; of several classes [n], as they are
    called."""

    def __init__(self, values: npt.NDArray[Any], names: Sequence[str]) -> None:
        self._values = values
        self.columns = list(names)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:  # noqa: ANN401
        return np.array(self._values, dtype or self._values.dtype)


class TimeEstimate(NamedTuple):
    """What training will take, in seconds of this machine.

    Attributes:
        members: the networks.
        forests: the stack.
    """

    members: float
    forests: float

    @property
    def total(self) -> float:
        """In all."""
        return self.members + self.forests


def processes_for(options: FitOptions) -> int:
    """Members that are trained at a time: one per core, on a GPU one."""
    if choose_device(options.device).type != "cpu":
        return 1
    return max(1, min(usable_cores(), options.ensemble_size))


def make_estimator(table: FitTable, jobs: MemberJobs | None) -> Estimator:
    """The estimator that the options say, not trained yet."""
    options = table.options
    kinds: dict[str, type[Estimator]] = {
        "regression": MoleblendRegressor,
        "classification": MoleblendClassifier,
        "multiclass": MoleblendClassifier,
        "mixed": MoleblendMixed,
    }
    classes = _class_columns(table)
    more: dict[str, Any] = {"class_columns": classes} if classes else {}
    made = kinds[table.kind](
        **more,
        checkpoint=None if options.checkpoint == "none" else options.checkpoint,
        input_mode=options.input_mode,
        conformer_method=options.conformer_method,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        dropout=options.dropout,
        readout=options.readout,
        freeze_epochs=options.freeze_epochs,
        molecule_featurizers=options.molecule_featurizers,
        descriptors_columns=options.descriptors_columns or None,
        random_state=options.seed,
        device=options.device,
        ensemble_size=options.ensemble_size,
        ensemble="folds",
        folds=options.folds,
        stacking=options.stacking == "yes",
    )
    made._jobs = jobs
    return made


def _class_columns(table: FitTable) -> tuple[str, ...]:
    """Names of the targets that are classes, where they are mixed."""
    if table.kind != "mixed":
        return ()
    return tuple(name for name, is_class in zip(table.names, table.classes_of, strict=True) if is_class)


def train(table: FitTable, rows: npt.NDArray[np.int64], jobs: MemberJobs | None) -> Estimator:
    """Train on some molecules of the table.

    Args:
        table: it.
        rows: places of the molecules.
        jobs: where members are trained and kept.

    Raises:
        MoleblendError: a training fails.
        ValueError: the molecules cannot be shared out among the folds.
    """
    molecules = [
        RawRow(record.source, record.row, record.smiles, "smiles", record=record)
        for record in (table.records[place] for place in rows.tolist())
    ]
    weights = None if table.weights is None else table.weights[rows]
    labels: Any = NamedLabels(_labels(table, rows), table.names)
    beside = DescribedMolecules(molecules, table.descriptors[rows])
    return make_estimator(table, jobs).fit(beside, labels, sample_weight=weights)


def _labels(table: FitTable, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Labels [n, T]; of several classes their names [n], numbers as such, in whose order they are coded."""
    if not table.class_names:
        return table.labels[rows]
    named = np.array(table.class_names)
    if all(word.lstrip("-").isdecimal() for word in table.class_names):
        named = named.astype(np.int64)
    return np.asarray(named[table.labels[rows, 0].astype(np.int64)])


def name_rows(path: Path, table: FitTable, rows: npt.NDArray[np.int64]) -> None:
    """Let a saved model call training molecules by their rows in the file, not in what was given to ``fit``.

    Args:
        path: the model.
        table: the table.
        rows: places of the molecules that it was trained on.
    """
    found = Predictor.from_checkpoint(path, "cpu").trust
    if found is None:
        return
    numbers = np.array([table.records[place].row for place in rows.tolist()], np.int64)
    domain = replace(found.domain, rows=numbers[found.domain.rows])
    held = found.calibration
    named = write_trust(
        replace(
            found,
            domain=domain,
            calibration=None if held is None else replace(held, rows=numbers[held.rows]),
        )
    )
    if is_ensemble(path):
        write_ensemble(path, read_ensemble(path)._replace(trust=named))
    else:
        path.write_bytes(with_trust(path.read_bytes(), named))


def estimate_time(table: FitTable, rows: npt.NDArray[np.int64]) -> TimeEstimate:
    """Measure a few epochs and trees on a part of the molecules, and reckon what all of it takes."""
    options = table.options
    places = rows[:: max(1, len(rows) // _PROBE)][:_PROBE]
    with TemporaryDirectory(prefix="moleblend-") as folder:
        _write_probe(table, places, Path(folder, "data"))
        with _silence():
            _probe(table, Path(folder), 1)  # the first one also loads and compiles
            first, more = (_probe(table, Path(folder), epochs) for epochs in (1, 3))
    epoch = max(more - first, 0.02) / 2
    member = _START_SECONDS + options.epochs * epoch * len(rows) / len(
        places
    )  # an epoch also validates on its fold
    rounds = math.ceil(options.ensemble_size / processes_for(options))
    forests = _forest_seconds(table, places, len(rows)) if options.stacking == "yes" else 0.0
    return TimeEstimate(rounds * member, forests)


@contextmanager
def _silence() -> Iterator[None]:
    """No log lines: a probe is no training."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _write_probe(table: FitTable, places: npt.NDArray[np.int64], data: Path) -> None:
    data.mkdir()
    records = [table.records[place] for place in places.tolist()]
    for part, held in (("train", records), ("valid", records[: max(1, len(records) // 5)])):
        write_store(data / f"{part}.lmdb", held, table.names, conversion_of(table.options))


def _probe(table: FitTable, folder: Path, epochs: int) -> float:
    """Seconds of a training of so many epochs."""
    options = table.options
    run = Path(mkdtemp(dir=folder))
    start = choose_start(None if options.checkpoint == "none" else options.checkpoint, None)
    config = FitConfig(
        table.kind,
        start.arch,
        start.checkpoint,
        options.input_mode,
        epochs,
        options.batch_size,
        options.learning_rate,
        device=options.device,
        class_columns=_class_columns(table),
        class_names=table.class_names,
    )
    began = time.perf_counter()
    train_in_process(train_arguments(folder / "data", run, config, validates=True), device=options.device)
    return time.perf_counter() - began


def _forest_seconds(table: FitTable, places: npt.NDArray[np.int64], molecules: int) -> float:
    """Seconds of features and forests for so many molecules."""
    smiles = [table.smiles[place] for place in places.tolist()]
    growth = molecules / len(places)

    def timed(name: str, features: npt.NDArray[Any], trees: int) -> float:
        began, numbers = time.perf_counter(), {"n_estimators": trees}
        labels, classes = table.labels[places], len(table.class_names)
        fit_tasks(name, table.classes_of, 0, features, labels, table.names, numbers, classes=classes)
        return time.perf_counter() - began

    total = 0.0
    for name in FORESTS:
        molecule_features(BASELINES[name].features, smiles[:1])  # the first call also loads
        began = time.perf_counter()
        features = molecule_features(BASELINES[name].features, smiles).values
        total += (time.perf_counter() - began) * growth * (name != FORESTS[-1])  # joined of the others
        begin = min(timed(name, features, 1) for _ in range(2))  # what a forest costs whatever its trees
        trees = max(timed(name, features, 1 + _PROBE_TREES) - begin, 0.0) * _TREES / _PROBE_TREES
        total += begin + trees * growth * math.log(molecules + 2) / math.log(len(places) + 2)
    return total
