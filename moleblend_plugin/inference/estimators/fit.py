"""Molecules and labels in memory -> a checkpoint: the same task and trainer as a command line's run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast, get_args

import torch

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.data.store.reader import StoreWriter
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.host.in_process import train_in_process
from moleblend_plugin.inference.conversion import write_conversion
from moleblend_plugin.inference.featurized import feature_settings
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.heads import Readout
from moleblend_plugin.models.property.network import HeadConfig, MoleculeFeaturizers
from moleblend_plugin.names import write_names
from moleblend_plugin.networks.resolve import name_or_path
from moleblend_plugin.runs.fine_tuning import optimizer_flags
from moleblend_plugin.runs.run_files import BEST_CHECKPOINT, LAST_CHECKPOINT
from moleblend_plugin.schema import LabelKind, MoleculeRecord
from moleblend_plugin.tasks.load import network_flags

PREFIX: Final = "moleblend_"
ARCHITECTURES: Final = tuple(name.removeprefix(PREFIX) for name in PRESETS)


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How a network is trained.

    Attributes:
        kind: "classification", "multiclass", "regression" or "mixed".
        arch: "tiny", "small" or "base"; ``checkpoint`` wins.
        checkpoint: checkpoint whose weights and sizes to start from, or ``None``.
        input_mode: "2d", "3d" or "both".
        epochs: passes over the training molecules, at most.
        batch_size: molecules per update.
        learning_rate: highest rate; it rises over the first 6 % of the updates and falls linearly to 0.
        dropout: of the head.
        readout: how the head reads a molecule: "cls" (graph token), "mean" or "sum" (of atomic outputs), or
            "attention" (learned weights over atoms).
        freeze_epochs: the first epochs, in which the head alone is trained.
        molecule_featurizers: what the head reads beside the encoder: "none", "descriptors", "ecfp" or "both".
        descriptors_columns: names of stored columns that it reads too.
        patience: epochs without a better validation loss before the end.
        seed: of everything random, 0 <= seed < 2**32.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        weight_column: name of the target that holds weights, or "".
        class_columns: names of the targets that are classes, where they are mixed.
        class_names: of "multiclass", what the classes are called.
        verbose: whether the trainer's log is shown.

    Raises:
        MoleblendError: a value that cannot be.
    """

    kind: LabelKind
    arch: str = "tiny"
    checkpoint: str | None = None
    input_mode: str = "both"
    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 5e-4
    dropout: float = 0.1
    readout: Readout = "cls"
    freeze_epochs: int = 0
    molecule_featurizers: MoleculeFeaturizers = "none"
    descriptors_columns: tuple[str, ...] = ()
    patience: int = 10
    seed: int = 0
    device: str = "auto"
    weight_column: str = ""
    class_columns: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    verbose: bool = False

    def __post_init__(self) -> None:
        if self.arch not in ARCHITECTURES:
            raise MoleblendError(f"arch={self.arch!r} is unknown; choose from {', '.join(ARCHITECTURES)}")
        if self.input_mode not in ("2d", "3d", "both"):
            raise MoleblendError(f"input_mode={self.input_mode!r} is unknown; choose from 2d, 3d, both")
        if self.readout not in get_args(Readout):
            raise MoleblendError(
                f"readout={self.readout!r} is unknown; choose from {', '.join(get_args(Readout))}"
            )
        if self.freeze_epochs < 0:
            raise MoleblendError(f"freeze_epochs={self.freeze_epochs}: give 0 or more")
        featurizers_of(self.molecule_featurizers)
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise MoleblendError(f"{name}={getattr(self, name)}: give 1 or more")
        if not self.learning_rate > 0:
            raise MoleblendError(f"learning_rate={self.learning_rate}: give more than 0")


def kinds_for(config: FitConfig, names: Sequence[str]) -> tuple[ColumnKind, ...]:
    """What the targets ``names`` of a fit are."""
    if config.kind != "mixed":
        return (config.kind,) * len(names)
    return tuple("classification" if name in config.class_columns else "regression" for name in names)


def featurizers_of(given: str) -> tuple[str, ...]:
    """The fields of records that ``molecule_featurizers`` needs.

    Raises:
        MoleblendError: it is unknown.
    """
    known = get_args(MoleculeFeaturizers)
    if given not in known:
        raise MoleblendError(f"molecule_featurizers={given!r} is unknown; choose from {', '.join(known)}")
    return HeadConfig(molecule_featurizers=cast("MoleculeFeaturizers", given)).featurizers


def fit_checkpoint(
    train: Sequence[MoleculeRecord],
    valid: Sequence[MoleculeRecord],
    names: tuple[str, ...],
    config: FitConfig,
    conversion: ConversionConfig,
) -> bytes:
    """Train and give the checkpoint as its file's bytes: the best on ``valid``, the last without any.

    Args:
        train: molecules with targets, in the order of ``names``.
        valid: the same, or none.
        names: names of the targets, and of the weights where ``config`` names them.
        config: how.
        conversion: how the records were made; the checkpoint keeps it for new molecules.

    Raises:
        MoleblendError: something in ``config`` does not work.
    """
    with TemporaryDirectory(prefix="moleblend-") as folder:
        data, run = Path(folder, "data"), Path(folder, "run")
        data.mkdir()
        for split, records in (("train", train), ("valid", valid)):
            if records:
                wanted = featurizers_of(config.molecule_featurizers)
                write_store(data / f"{split}.lmdb", records, names, conversion, wanted)
        train_in_process(
            train_arguments(data, run, config, validates=bool(valid)), config.verbose, config.device
        )
        return portable_checkpoint(run / (BEST_CHECKPOINT if valid else LAST_CHECKPOINT), conversion)


def portable_checkpoint(path: Path, conversion: ConversionConfig) -> bytes:
    """A run's checkpoint without its folders, and with how molecules became records, as its file's bytes."""
    state = read_checkpoint(path)
    args = state["args"]
    args.data = args.save_dir = args.tmp_save_dir = ""  # they are gone
    if args.finetune_from_model:
        args.finetune_from_model = name_or_path(args.finetune_from_model)
    args.conversion = write_conversion(conversion)
    packed = io.BytesIO()
    torch.save(state, packed)
    return packed.getvalue()


def train_arguments(data: Path, run: Path, config: FitConfig, validates: bool) -> list[str]:
    """Arguments of ``moleblend-train`` for a fit."""
    words: list[object] = [
        *(data, "--task", "moleblend_property", "--loss", f"moleblend_{config.kind}"),
        *("--arch", f"moleblend_property_{config.arch}", "--input-mode", config.input_mode),
        *("--head-dropout", config.dropout, "--readout", config.readout),
        *("--freeze-epochs", config.freeze_epochs, "--molecule-featurizers", config.molecule_featurizers),
        *optimizer_flags(str(config.learning_rate), warmup_ratio="0.06"),
        *("--max-epoch", config.epochs, "--batch-size", config.batch_size, "--seed", config.seed),
        *("--num-workers", 0, "--save-dir", run, "--tmp-save-dir", run),
        *("--no-epoch-checkpoints", "--no-save-optimizer-state"),
    ]
    if validates:
        words += ["--patience", config.patience]
    else:
        words += ["--disable-validation", "--save-interval", config.epochs]
    if config.class_columns:
        words += ["--class-columns", write_names(config.class_columns)]
    if config.class_names:
        words += ["--num-classes", len(config.class_names), "--class-names", write_names(config.class_names)]
    if config.descriptors_columns:
        words += ["--descriptors-columns", write_names(config.descriptors_columns)]
    if config.weight_column:
        words += ["--weight-column", config.weight_column]
    if config.checkpoint is not None:
        words += ["--finetune-from-model", config.checkpoint, *network_flags(Path(config.checkpoint))]
    return [str(word) for word in words]


def write_store(
    path: Path,
    records: Sequence[MoleculeRecord],
    names: tuple[str, ...],
    conversion: ConversionConfig,
    featurizers: tuple[str, ...] = (),
) -> None:
    """Write records with labels, and with what ``featurizers`` names, as a store for a run."""
    settings = {"made_by": "an estimator", "conversion": write_conversion(conversion)}
    settings |= feature_settings(records, featurizers)
    with StoreWriter(path, settings=settings, sources={}, target_names=names, split=path.stem) as writer:
        for record in records:
            writer.add(record)
