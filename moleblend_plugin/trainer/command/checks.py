"""Options that cannot be, or cannot be together: refused before anything is read or built."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.devices import device_type
from moleblend_plugin.runs.run_length import check_horizon
from moleblend_plugin.trainer.command.parse_values import parse_betas, parse_overrides

_AT_LEAST = {
    "batch_size": 1,
    "batch_size_valid": 1,
    "required_batch_size_multiple": 1,
    "num_workers": 0,
    "data_buffer_size": 0,
    "log_interval": 1,
    "max_epoch": 0,
    "max_update": 0,
    "max_bad_updates": 0,
    "clip_norm": 0,
    "save_interval": 1,
    "save_interval_updates": 0,
    "validate_interval": 1,
    "validate_interval_updates": 0,
    "validate_after_updates": 0,
    "max_valid_steps": 1,
    "distributed_world_size": 1,
    "warmup_updates": 0,
    "weight_decay": 0,
    "adam_eps": 0,
    "seed": 0,
}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def check_options(args: Namespace) -> None:
    """Refuse impossible options.

    Raises:
        MoleblendError: names flag, value and remedy.
    """
    if args.batch_size is None:
        raise MoleblendError("--batch-size is missing: give the number of samples per batch")
    for name, least in _AT_LEAST.items():
        value = getattr(args, name, None)
        if value is not None and not value >= least:
            raise MoleblendError(f"{_flag(name)} {value} is too small: give {least} or more")
    if min(args.update_freq) < 1:
        raise MoleblendError(
            f"--update-freq {args.update_freq} is too small: give 1 or more batches per update"
        )
    check_horizon(args)
    parse_betas(args.adam_betas)
    parse_overrides(args.optimizer_overrides)
    _check_schedule(args)
    _check_precision(args)
    _check_validation(args)
    _check_restart(args)


def _check_schedule(args: Namespace) -> None:
    kind = args.lr_scheduler
    if getattr(args, "warmup_ratio", -1) >= 1:
        raise MoleblendError(
            f"--warmup-ratio {args.warmup_ratio} must be below 1: it is a share of all updates"
        )
    if kind == "polynomial_decay" and args.warmup_ratio <= 0 and args.total_num_update < args.warmup_updates:
        raise MoleblendError(
            f"--total-num-update {args.total_num_update} is below --warmup-updates {args.warmup_updates}: "
            "give more updates or a shorter warm-up"
        )
    if kind == "inverse_sqrt" and args.warmup_updates < 1:
        raise MoleblendError(
            "--warmup-updates 0 is impossible with --lr-scheduler inverse_sqrt: give 1 or more"
        )
    if kind in ("inverse_sqrt", "cosine") and len(args.lr) > 1:
        raise MoleblendError(
            f"--lr {args.lr}: --lr-scheduler {kind} takes one rate; use fixed for one per epoch"
        )
    if kind == "cosine" and args.min_lr >= args.lr[0]:
        raise MoleblendError(f"--min-lr {args.min_lr} must be below --lr {args.lr[0]}: give a lower one")
    if kind == "cosine" and args.t_mult < 1:
        raise MoleblendError(f"--t-mult {args.t_mult} is too small: periods grow by 1 or more")


def _check_precision(args: Namespace) -> None:
    if args.fp16 and args.bf16:
        raise MoleblendError("--fp16 and --bf16 exclude each other: give one of them")
    if args.fp16 and (device := device_type(args.cpu)) != "cuda":
        if device == "mps":
            raise MoleblendError("--fp16 needs a GPU of CUDA, not Apple's (mps): use --bf16, or neither")
        raise MoleblendError("--fp16 needs a GPU: use --bf16 on a CPU, or neither")
    if not args.ema_decay < 1:
        raise MoleblendError(f"--ema-decay {args.ema_decay} must be below 1: 0.999 is usual")
    if args.validate_with_ema and args.ema_decay <= 0:
        raise MoleblendError(
            "--validate-with-ema needs a moving average: give --ema-decay, for example 0.999"
        )


def _check_validation(args: Namespace) -> None:
    subsets = args.valid_subset.split(",")
    if not all(subsets):
        raise MoleblendError(
            f"--valid-subset {args.valid_subset!r} holds an empty name: give valid or valid,test"
        )
    for flag, used in (
        ("--patience", args.patience > 0),
        ("--keep-best-checkpoints", args.keep_best_checkpoints > 0),
    ):
        if used and args.disable_validation:
            raise MoleblendError(f"{flag} needs validation: remove --disable-validation or {flag}")


def _check_restart(args: Namespace) -> None:
    source = args.finetune_from_model
    resets = ("reset_optimizer", "reset_lr_scheduler", "reset_meters", "reset_dataloader")
    if source is None:
        if args.load_from_ema and args.restore_file == "checkpoint_last.pt":
            raise MoleblendError("--load-from-ema needs a checkpoint: give --finetune-from-model FILE")
        return
    if args.restore_file != "checkpoint_last.pt":
        raise MoleblendError("--finetune-from-model and --restore-file exclude each other: give one of them")
    for name in resets:
        if getattr(args, name):
            raise MoleblendError(f"{_flag(name)} is implied by --finetune-from-model: remove it")
    if not Path(source).is_file():
        raise MoleblendError(f"--finetune-from-model {source!r} is no file: give a checkpoint")
