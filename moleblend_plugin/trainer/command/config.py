"""The trainer's own options: every field is a flag, with Uni-Core's name and default, in Uni-Core's groups.

A new flag is a field here with a line in its class's docstring; whoever needs it reads the class with
:func:`moleblend_plugin.runs.flags.read_flags`. Those of an optimiser or a schedule stand beside it.
"""

from __future__ import annotations

import math
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.flags import Config, add_flags, flag_of, option
from moleblend_plugin.runs.run_files import LAST_CHECKPOINT
from moleblend_plugin.trainer.command.parse_values import number_list, parse_overrides
from moleblend_plugin.trainer.logging.trackers import TrackerConfig

_NO_EFFECT = "accepted for Uni-Core's sake, without effect here"

_count = partial(option, metavar="N", shown=True)
_number = partial(option, metavar="N")
_folder = partial(option, metavar="DIR")
_accepted: Callable[[Any], Any] = partial(option, help=_NO_EFFECT)


@dataclass(frozen=True, slots=True)
class GeneralConfig:
    """What concerns a run as a whole: seed, log, device, precision, moving average.

    Attributes:
        user_dir: folder of a plugin to import; this plugin is always there
        seed: seed of everything random
        log_interval: updates between two log lines
        log_format: log lines (default: tqdm, a live line, or simple)
        no_progress_bar: no live line
        tensorboard_logdir: write TensorBoard files there
        cpu: use the CPU even where a GPU is there
        fp16: mixed precision with float16 (GPU)
        bf16: mixed precision with bfloat16
        compile: torch.compile the network: a minute at first, then quicker steps (GPU)
        fp16_init_scale: first loss scale of --fp16
        fp16_scale_window: updates without overflow before the loss scale doubles
        min_loss_scale: smallest loss scale before giving up
        ema_decay: keep a moving average of the weights
        validate_with_ema: validate the moving average instead of the weights

    Raises:
        MoleblendError: an impossible value or combination.
    """

    user_dir: str | None = _folder(None)
    seed: int = _count(1, least=0)
    log_interval: int = _count(1000, least=1)
    log_format: Literal["none", "json", "simple", "tqdm"] | None = None
    no_progress_bar: bool = False
    tensorboard_logdir: str = _folder("")
    cpu: bool = False
    fp16: bool = False
    bf16: bool = False
    compile: bool = False
    fp16_init_scale: float = 128
    fp16_scale_window: int | None = _count(None)
    min_loss_scale: float = 1e-4
    ema_decay: float = -1.0
    validate_with_ema: bool = False
    fp16_scale_tolerance: float | None = _accepted(None)
    threshold_loss_scale: float | None = _accepted(None)
    empty_cache_freq: float | None = _accepted(None)
    all_gather_list_size: float | None = _accepted(None)
    allreduce_fp32_grad: bool = option(False, help=_NO_EFFECT + " (gradients are always fp32)")

    def __post_init__(self) -> None:
        if self.fp16 and self.bf16:
            raise MoleblendError("--fp16 and --bf16 exclude each other: give one of them")
        if not self.ema_decay < 1:
            raise MoleblendError(f"--ema-decay {self.ema_decay} must be below 1: 0.999 is usual")
        if self.validate_with_ema and self.ema_decay <= 0:
            raise MoleblendError(
                "--validate-with-ema needs a moving average: give --ema-decay, for example 0.999"
            )


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which samples are read, and how they become batches.

    Attributes:
        batch_size: samples per batch (needed)
        batch_size_valid: samples per batch in validation; as --batch-size
        required_batch_size_multiple: round the batch size up to a multiple of N
        num_workers: processes that read data; samples do not depend on it
        data_buffer_size: batches to keep ready
        train_subset: split to train on
        valid_subset: splits to validate on: valid,test
        curriculum: do not shuffle batches in the first N epochs

    Raises:
        MoleblendError: no batch size, or a split without a name.
    """

    batch_size: int = _number(None, "--max-sentences", least=1)
    batch_size_valid: int = _count(None, least=1)
    required_batch_size_multiple: int = _count(1, least=1)
    num_workers: int = _count(1, least=0)
    data_buffer_size: int = _count(10, least=0)
    train_subset: str = option("train", metavar="SPLIT")
    valid_subset: str = option("valid", metavar="SPLITS")
    curriculum: int = _count(0)
    skip_invalid_size_inputs_valid_test: bool = _accepted(False)

    def __post_init__(self) -> None:
        if self.batch_size is None:
            raise MoleblendError("--batch-size is missing: give the number of samples per batch")
        if not all(self.valid_subsets):
            raise MoleblendError(
                f"--valid-subset {self.valid_subset!r} holds an empty name: give valid or valid,test"
            )

    @property
    def valid_subsets(self) -> list[str]:
        """The splits to validate on; the first one selects the best checkpoint."""
        return self.valid_subset.split(",")


@dataclass(frozen=True, slots=True)
class UpdateConfig:
    """How updates are made, and how many.

    Attributes:
        max_epoch: stop after N epochs; 0: no limit
        max_update: stop after N updates; 0: no limit
        stop_time_hours: stop after H hours; 0: no limit
        stop_min_lr: stop at this learning rate
        lr: rate, or one per epoch: 1e-4,5e-5
        update_freq: batches per update (gradient accumulation), or one number per epoch: 4,8
        clip_norm: largest gradient norm; 0: no limit
        max_bad_updates: stop after N updates in a row with NaN; 0: at the first
        no_weight_decay_names: name parts not to decay: a,b

    Raises:
        MoleblendError: an impossible value.
    """

    max_epoch: int = _count(0, "--me", least=0)
    max_update: int = _count(0, "--mu", least=0)
    stop_time_hours: float = option(0, metavar="H")
    stop_min_lr: float = option(-1, metavar="LR")
    lr: list[float] = option(lambda: [0.25], "--learning-rate", parse=number_list(float, "learning rates"))
    update_freq: list[int] = option(lambda: [1], parse=number_list(int, "whole numbers"))
    clip_norm: float = option(0, metavar="NORM", least=0)
    max_bad_updates: int = _count(10, least=0)
    no_weight_decay_names: str = option("", metavar="PARTS")

    def __post_init__(self) -> None:
        if min(self.update_freq) < 1:
            raise MoleblendError(
                f"--update-freq {self.update_freq} is too small: give 1 or more batches per update"
            )


@dataclass(frozen=True, slots=True)
class ValidConfig:
    """When and how to validate, and what is best.

    Attributes:
        disable_validation: never validate
        validate_interval: validate every N epochs
        validate_interval_updates: also validate every N updates
        validate_after_updates: do not validate before N updates
        max_valid_steps: validate on N batches only
        fixed_validation_seed: seed of every validation
        best_checkpoint_metric: metric of the best checkpoint
        maximize_best_checkpoint_metric: larger is better
        patience: stop after N validations without a better metric

    Raises:
        MoleblendError: an impossible combination.
    """

    disable_validation: bool = False
    validate_interval: int = _count(1, least=1)
    validate_interval_updates: int = _count(0, least=0)
    validate_after_updates: int = _count(0, least=0)
    max_valid_steps: int | None = _count(None, least=1)
    fixed_validation_seed: int | None = _count(None)
    best_checkpoint_metric: str = option("loss", metavar="NAME")
    maximize_best_checkpoint_metric: bool = False
    patience: int = _count(-1)

    def __post_init__(self) -> None:
        if self.patience > 0 and self.disable_validation:
            raise MoleblendError("--patience needs validation: remove --disable-validation or --patience")

    def is_better(self, new: float, old: float | None) -> bool:
        """Whether ``new`` is strictly better than ``old``; NaN is worse than everything."""
        if math.isnan(new):
            return False
        if old is None or math.isnan(old):
            return True
        return new > old if self.maximize_best_checkpoint_metric else new < old


@dataclass(frozen=True, slots=True)
class SaveConfig:
    """When and where to save, and what is kept.

    Attributes:
        save_dir: folder of checkpoints and log
        save_interval: save every N epochs (default: 1; given, epochs are kept)
        save_interval_updates: also save, and validate, every N updates
        keep_interval_updates: keep the last N of those
        keep_last_epochs: keep the last N of epochs, -1: all (default: all; fine-tuning: none)
        keep_best_checkpoints: keep the N best, by metric
        no_save: save nothing
        no_epoch_checkpoints: save only the last and the best (fine-tuning: the default)
        no_last_checkpoints: do not save checkpoint_last.pt
        no_save_optimizer_state: save weights only
    """

    save_dir: str = _folder("checkpoints")
    tmp_save_dir: str = _folder("./", help=_NO_EFFECT + " (files appear in one step)")
    save_interval: int = _number(None, least=1)
    save_interval_updates: int = _count(0, least=0)
    keep_interval_updates: int = _count(-1)
    keep_last_epochs: int = _number(None)
    keep_best_checkpoints: int = _count(-1)
    no_save: bool = False
    no_epoch_checkpoints: bool = False
    no_last_checkpoints: bool = False
    no_save_optimizer_state: bool = False

    @property
    def folder(self) -> Path:
        """Folder of the checkpoints and the log."""
        return Path(self.save_dir)


@dataclass(frozen=True, slots=True)
class RestartConfig:
    """Where a run resumes, or whose weights it starts from.

    Attributes:
        restore_file: checkpoint to go on from
        finetune_from_model: checkpoint whose weights to start from, or the name of a bundled network
            (moleblend models)
        load_from_ema: take the moving average of that checkpoint
        reset_optimizer: do not restore the optimiser
        reset_lr_scheduler: do not restore the schedule's state
        reset_meters: do not restore averages, best metric and patience
        reset_dataloader: start the data from the first epoch
        optimizer_overrides: values that win over the file's

    Raises:
        MoleblendError: an impossible value or combination.
    """

    restore_file: str = option(LAST_CHECKPOINT, metavar="FILE")
    finetune_from_model: str | None = option(None, metavar="FILE")
    load_from_ema: bool = False
    reset_optimizer: bool = False
    reset_lr_scheduler: bool = False
    reset_meters: bool = False
    reset_dataloader: bool = False
    optimizer_overrides: str = option("{}", metavar="DICT")

    def __post_init__(self) -> None:
        parse_overrides(self.optimizer_overrides)
        if self.finetune_from_model is None:
            if self.load_from_ema and self.restore_file == LAST_CHECKPOINT:
                raise MoleblendError("--load-from-ema needs a checkpoint: give --finetune-from-model FILE")
            return
        if self.restore_file != LAST_CHECKPOINT:
            raise MoleblendError(
                "--finetune-from-model and --restore-file exclude each other: give one of them"
            )
        for name in ("reset_optimizer", "reset_lr_scheduler", "reset_meters", "reset_dataloader"):
            if getattr(self, name):
                raise MoleblendError(f"{flag_of(name)} is implied by --finetune-from-model: remove it")


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """Processes, and how they exchange gradients.

    Attributes:
        distributed_world_size: processes in all
        distributed_backend: nccl on GPUs; CPUs take gloo
        ddp_backend: c10d and no_c10d: torch's DDP; fsdp: each process holds a part of the weights (torchrun,
            srun)
        distributed_timeout_minutes: end the run where processes wait so long for each other, also for one
            that saves (default: 10)
        heartbeat_timeout: several nodes: end the run where one gives no sign of life for S seconds; -1: never
            (45)
        bucket_cap_mb: size of the pieces in which gradients are exchanged
        find_unused_parameters: some parameters may get no gradient
    """

    distributed_world_size: int = _count(lambda: max(1, torch.cuda.device_count()), least=1)
    distributed_backend: str = option("nccl", metavar="NAME")
    ddp_backend: Literal["c10d", "no_c10d", "fsdp"] = "c10d"
    distributed_timeout_minutes: float = option(10, metavar="M")
    heartbeat_timeout: float = option(45, metavar="S")
    bucket_cap_mb: int = _count(25)
    find_unused_parameters: bool = False
    broadcast_buffers: bool = _accepted(False)
    distributed_no_spawn: bool = _accepted(False)
    fix_batches_to_gpus: bool = _accepted(False)
    fast_stat_sync: bool = _accepted(False)


GROUPS: Final[dict[str, type[Config]]] = {
    "general": GeneralConfig,
    "experiment trackers": TrackerConfig,
    "data": DataConfig,
    "optimisation and length of the run": UpdateConfig,
    "validation": ValidConfig,
    "checkpoints": SaveConfig,
    "restart and fine-tuning": RestartConfig,
    "processes and devices": ProcessConfig,
}
"""By title in the help, what belongs to no task, model, loss, optimiser or schedule."""


def add_trainer_flags(parser: ArgumentParser) -> None:
    """Declare every flag of :data:`GROUPS`."""
    for title, config in GROUPS.items():
        add_flags(parser.add_argument_group(title), config)
