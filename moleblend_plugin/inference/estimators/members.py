"""Members of an ensemble: one training run each, and one epoch for all that their mean validation curve
chooses.

Legend: n molecules, T targets, k members.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.ensembles.epoch import best_epoch, mean_curve
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host.in_process import train_in_process
from moleblend_plugin.inference.estimators.epoch_files import EpochFiles, curve_so_far
from moleblend_plugin.inference.estimators.fit import portable_checkpoint, write_store
from moleblend_plugin.inference.estimators.member_jobs import (
    Job,
    MemberJobs,
    curve_of,
    run_jobs,
    sha256_of_records,
)
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.runs.run_files import EVENT_LOG
from moleblend_plugin.schema import Float64Array, MoleculeRecord

Arguments = Callable[[Path, Path, int], Sequence[str]]
"""``arguments(data, run, seed)``: of ``moleblend-train`` on the stores of a folder, with validation."""

_EVERY_EPOCH: Final = (
    *("--save-interval", "1", "--no-last-checkpoints", "--no-save-optimizer-state"),
    *("--patience", "-1"),  # a curve that ends early on one fold could not be averaged
)


class LabelledRecords(NamedTuple):
    """Molecules with labels, as they are stored.

    Attributes:
        records: n of them, with labels.
        names: of their labels, and of the weights where there are any.
        conversion: how they became records.
        featurizers: what the networks' heads read of them beside the encoder: "descriptors", "ecfp".
        extra_descriptors: those of ``names`` that are no labels: the last ones.
    """

    records: Sequence[MoleculeRecord]
    names: tuple[str, ...]
    conversion: ConversionConfig
    featurizers: tuple[str, ...] = ()
    extra_descriptors: tuple[str, ...] = ()


class MemberRun(NamedTuple):
    """What one member is trained on and chosen by: places among the molecules, and its seed."""

    train: npt.NDArray[np.int64]
    valid: npt.NDArray[np.int64]
    seed: int


class Members(NamedTuple):
    """Trained members.

    Attributes:
        checkpoints: bytes of their files.
        epoch: that all of them are of.
        curve: by epoch, the mean of the validation metric.
    """

    checkpoints: tuple[bytes, ...]
    epoch: int
    curve: dict[int, float]


class MemberSettings(NamedTuple):
    """How members are trained.

    Attributes:
        arguments: of a member's run.
        metric: of validation, which chooses the epoch.
        rises: whether more of it is better.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        verbose: whether the trainer's log is shown.
    """

    arguments: Arguments
    metric: str = "loss"
    rises: bool = False
    device: str = "auto"
    verbose: bool = False


def fold_runs(
    folds: npt.NDArray[np.int64], seed: int, valid: npt.NDArray[np.int64] | None = None
) -> list[MemberRun]:
    """A run per fold: trained on the molecules outside it, chosen by those in it.

    Args:
        folds: int64 [n], -1 for molecules that are in no fold and trained on by none.
        seed: of the first member; the next has the next.
        valid: places of molecules that choose the epoch in place of each fold.
    """
    runs = []
    for number in range(int(folds.max()) + 1):
        train, held = np.flatnonzero((folds >= 0) & (folds != number)), np.flatnonzero(folds == number)
        runs.append(MemberRun(train, held if valid is None else valid, (seed + number) % 2**32))
    return runs


def train_members(
    labelled: LabelledRecords,
    runs: Sequence[MemberRun],
    settings: MemberSettings,
    jobs: MemberJobs | None = None,
) -> Members:
    """Train every member to the end, keep its epochs meanwhile, and take the epoch that is best on the mean.

    Checkpoints lie in the folder for temporary files while this runs, or in that of ``jobs``, which stays:
    those of the epochs that may still be chosen. Should the best one not be among them, because members that
    were trained later disagree with the earlier ones, those that lack it are trained again.

    Args:
        labelled: the molecules.
        runs: what each member is trained on.
        settings: how.
        jobs: members in processes, in a folder that keeps what is finished; ``None``: one after the other in
            this process.

    Raises:
        MoleblendError: something in the arguments does not work, or no epoch validates in every member.
    """
    with TemporaryDirectory(prefix="moleblend-") as folder:
        place = Path(folder) if jobs is None else jobs.folder
        each = [
            _Member(labelled, run, settings, place / f"member_{number}")
            for number, run in enumerate(runs, start=1)
        ]
        labels = [_labels_of(labelled, run) for run in runs]
        folders = [member.folder / "run" for member in each]
        files = EpochFiles(folders, labels, settings.metric, settings.rises)
        curve = mean_curve(_train(each, jobs, files), labels)
        epoch = best_epoch(curve, settings.rises)
        if lacking := [each[number] for number in files.lacking(epoch)]:
            only = EpochFiles(folders, labels, settings.metric, settings.rises, only=epoch)
            for member in lacking:
                shutil.rmtree(member.folder)
            _train(lacking, None if jobs is None else jobs.at_its_end(), only)
        checkpoints = tuple(
            portable_checkpoint(files.path(number, epoch), labelled.conversion) for number in range(len(each))
        )
    return Members(checkpoints, epoch, curve)


def out_of_fold(
    members: Sequence[Predictor], records: Sequence[MoleculeRecord], folds: npt.NDArray[np.int64]
) -> Float64Array:
    """Predictions [n, T] of every molecule by the member that did not see it; NaN outside of the folds."""
    predictions = np.full((len(records), members[0].outputs), np.nan)
    for number, member in enumerate(members):
        held = np.flatnonzero(folds == number)
        predictions[held] = list(member.predict_records([records[place] for place in held.tolist()]))
    return predictions


class _Member(NamedTuple):
    """One member, and where it is trained."""

    labelled: LabelledRecords
    run: MemberRun
    settings: MemberSettings
    folder: Path

    def arguments(self) -> list[str]:
        """Of ``moleblend-train``."""
        given = self.settings.arguments(self.folder / "data", self.folder / "run", self.run.seed)
        return [*(word for word in given if word != "--no-epoch-checkpoints"), *_EVERY_EPOCH]

    def write_data(self) -> None:
        """The stores that it is trained on and chosen by."""
        labelled, data = self.labelled, self.folder / "data"
        data.mkdir(parents=True)
        for part, places in (("train", self.run.train), ("valid", self.run.valid)):
            chosen = [labelled.records[place] for place in places]
            write_store(
                data / f"{part}.lmdb", chosen, labelled.names, labelled.conversion, labelled.featurizers
            )

    def job(self) -> Job:
        """For a process."""
        parts = [[self.labelled.records[place] for place in places] for places in self.run[:2]]
        sha256 = sha256_of_records(*parts)
        return Job(self.folder, self.arguments(), self.settings.device, sha256, self.write_data)


def _train(members: Sequence[_Member], jobs: MemberJobs | None, files: EpochFiles) -> list[dict[int, float]]:
    """Train members, in processes or one after the other in this one; their validation curves."""
    metric = members[0].settings.metric
    if jobs is not None:
        each = [member.job() for member in members]
        run_jobs(each, jobs, partial(read_curve, metric=metric), files.tidy)
        files.tidy()
        return [curve_of(job) for job in each]
    curves = []
    for member in members:
        member.write_data()
        settings = member.settings
        train_in_process(member.arguments(), settings.verbose, settings.device, files.tidy)
        curves.append(read_curve(member.folder / "run" / EVENT_LOG, metric))
    return curves


def _labels_of(labelled: LabelledRecords, run: MemberRun) -> float:
    """Labels that a member's validation counts."""
    count = len(labelled.names) - len(labelled.extra_descriptors)
    present = [~np.isnan(labelled.records[place].targets[:count]) for place in run.valid]
    return float(np.sum(present))


def read_curve(log: Path, metric: str) -> dict[int, float]:
    """By epoch, a metric of the part ``valid`` in a run's log.

    Raises:
        MoleblendError: the log holds none.
    """
    curve = curve_so_far(log, metric)
    if not curve:
        raise MoleblendError(
            "the run never validated, so no epoch can be chosen: leave out --disable-validation"
        )
    return curve
