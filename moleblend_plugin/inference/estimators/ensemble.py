"""Several networks in place of one behind an estimator, and their stack with forests.

Legend: n molecules, T targets, k members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from moleblend_plugin.chem.identity.likeness import identity
from moleblend_plugin.chem.identity.scaffold import scaffold_of
from moleblend_plugin.ensembles.folds import FoldKind, assign_folds, keep_together
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.ensemble_file import EnsembleFile, write_ensemble
from moleblend_plugin.inference.estimators.fit import (
    FitConfig,
    fit_checkpoint,
    kinds_for,
    train_arguments,
)
from moleblend_plugin.inference.estimators.member_jobs import MemberJobs
from moleblend_plugin.inference.estimators.members import (
    LabelledRecords,
    MemberRun,
    Members,
    MemberSettings,
    fold_runs,
    out_of_fold,
    train_members,
)
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.stack import extra_of
from moleblend_plugin.inference.stack_fit import FittedStack, TrainingRows, fit_stack
from moleblend_plugin.label_kinds import Kinds
from moleblend_plugin.schema import Float64Array, LabelKind


@dataclass(frozen=True, slots=True)
class EnsembleConfig:
    """Several networks in place of one.

    Attributes:
        ensemble_size: number of networks, k.
        ensemble: "folds" of cross-validation, or "seeds".
        folds: "random" or "scaffold".
        stacking: whether forests on descriptors and fingerprints are combined with the networks.

    Raises:
        MoleblendError: a value that cannot be.
    """

    ensemble_size: int = 1
    ensemble: str = "folds"
    folds: str = "random"
    stacking: bool = False

    def __post_init__(self) -> None:
        if self.ensemble_size < 1:
            raise MoleblendError(f"ensemble_size={self.ensemble_size}: give 1 or more")
        if self.ensemble not in ("folds", "seeds"):
            raise MoleblendError(f"ensemble={self.ensemble!r} is unknown; choose from folds, seeds")
        if self.folds not in get_args(FoldKind):
            raise MoleblendError(
                f"folds={self.folds!r} is unknown; choose from {', '.join(get_args(FoldKind))}"
            )
        if self.stacking and (self.ensemble_size == 1 or self.ensemble != "folds"):
            raise MoleblendError(
                "stacking=True needs predictions by networks that did not see the molecule: "
                "set ensemble_size=5 and ensemble='folds'"
            )


class TrainingPart(NamedTuple):
    """Molecules of the training part.

    Attributes:
        labelled: records, with labels and maybe weights as they are stored.
        targets: labels alone [n, T], NaN where one is missing.
        names: of the T targets.
        sample_weight: [n], or ``None``.
    """

    labelled: LabelledRecords
    targets: Float64Array
    names: tuple[str, ...]
    sample_weight: Float64Array | None = None


class FittedEnsemble(NamedTuple):
    """What came of a fit.

    Attributes:
        file: networks and stack, for their file.
        members: how the networks were chosen; ``None`` where nothing was held out.
        folds: int64 [n], -1 where there are none.
        out_of_fold: [n, T], or [n, K] of K classes, of every molecule by what was not trained on it; NaN
            without folds.
        stacked: the stack, or ``None``.
        grouped: whether folds keep molecules of one scaffold together.
    """

    file: EnsembleFile
    members: Members | None
    folds: npt.NDArray[np.int64]
    out_of_fold: Float64Array
    stacked: FittedStack | None = None
    grouped: bool = False


def folds_of(part: TrainingPart, kind: LabelKind, k: int, how: str, seed: int) -> npt.NDArray[np.int64]:
    """Fold of every molecule, int64 [n]: at random, or by Bemis-Murcko scaffold.

    Rows of one molecule (without stereochemistry and isotopes) are in one fold.

    Raises:
        ValueError: there are too few molecules, scaffolds, or molecules of a class.
    """
    smiles = [record.smiles for record in part.labelled.records]
    scaffolds = [scaffold_of(text, chiral=False) for text in smiles] if how == "scaffold" else None
    folds = assign_folds(part.targets, kind, k, seed, scaffolds)
    return keep_together(folds, [identity(text) for text in smiles]) if scaffolds is None else folds


def fit_ensemble(
    part: TrainingPart,
    fit: FitConfig,
    config: EnsembleConfig,
    held: npt.NDArray[np.bool_],
    jobs: MemberJobs | None = None,
) -> FittedEnsemble:
    """Train the members and, where asked for, the stack.

    Args:
        part: the training part.
        fit: how each network is trained.
        config: how many, and how they differ.
        held: bool [n], what chooses the epoch of seeds; folds hold out their own.
        jobs: members in processes, in a folder that keeps what is finished; ``None``: in this process.

    Raises:
        MoleblendError: something in ``fit`` does not work.
        ValueError: the molecules cannot be shared out among the folds.
    """
    if config.ensemble == "seeds":
        return _fit_seeds(part, fit, config.ensemble_size, held, jobs)
    folds = folds_of(part, fit.kind, config.ensemble_size, config.folds, fit.seed)
    members = train_members(part.labelled, fold_runs(folds, fit.seed), settings_of(fit), jobs)
    grouped = config.folds == "scaffold"
    kinds = kinds_for(fit, part.names)
    return with_stack(part, folds, members, kinds, fit.seed, fit.device, config.stacking, grouped)


def with_stack(
    part: TrainingPart,
    folds: npt.NDArray[np.int64],
    members: Members,
    kinds: Kinds,
    seed: int,
    device: str = "auto",
    stacking: bool = False,
    grouped: bool = False,
) -> FittedEnsemble:
    """Out-of-fold predictions of trained members and, where asked for, the stack that is fitted on them."""
    networks = [Predictor.from_bytes(checkpoint, device) for checkpoint in members.checkpoints]
    predicted = out_of_fold(networks, part.labelled.records, folds)
    if not stacking:
        return FittedEnsemble(EnsembleFile(members.checkpoints), members, folds, predicted, grouped=grouped)
    records, extra = part.labelled.records, part.labelled.extra_descriptors
    smiles = [record.smiles for record in records]
    beside = (extra, extra_of(records, extra))
    weights, classes = part.sample_weight, len(networks[0].class_names)
    rows = TrainingRows.of(smiles, part.targets, part.names, folds, weights, grouped, beside, classes)
    found = fit_stack(rows, predicted, kinds, seed)
    plain, forests = found.stack.to_file()
    file = EnsembleFile(members.checkpoints, plain, forests)
    return FittedEnsemble(file, members, folds, found.combined, found, grouped)


def settings_of(fit: FitConfig) -> MemberSettings:
    """How an estimator's members are trained."""

    def arguments(data: Path, run: Path, seed: int) -> Sequence[str]:
        return train_arguments(data, run, replace(fit, seed=seed), validates=True)

    return MemberSettings(arguments, device=fit.device, verbose=fit.verbose)


def _fit_seeds(
    part: TrainingPart, fit: FitConfig, k: int, held: npt.NDArray[np.bool_], jobs: MemberJobs | None
) -> FittedEnsemble:
    """Networks of different seeds on the same molecules, at the epoch that is best on the mean of all."""
    records, names, conversion = part.labelled[:3]
    seeds = [(fit.seed + number) % 2**32 for number in range(k)]
    nothing = np.full((len(records), len(fit.class_names) or len(part.names)), np.nan)
    no_folds = np.full(len(records), -1)
    if held.any():
        runs = [MemberRun(np.flatnonzero(~held), np.flatnonzero(held), seed) for seed in seeds]
        members = train_members(part.labelled, runs, settings_of(fit), jobs)
        return FittedEnsemble(EnsembleFile(members.checkpoints), members, no_folds, nothing)
    checkpoints = tuple(
        fit_checkpoint(records, [], names, replace(fit, seed=seed), conversion) for seed in seeds
    )
    return FittedEnsemble(EnsembleFile(checkpoints), None, no_folds, nothing)


def packed(file: EnsembleFile) -> bytes:
    """The bytes of the file."""
    with TemporaryDirectory(prefix="moleblend-") as folder:
        path = Path(folder, "ensemble.pt")
        write_ensemble(path, file)
        return path.read_bytes()
