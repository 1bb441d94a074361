"""Options that cannot be, or cannot be together: refused before anything is read or built."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.compiler import check_compiler
from moleblend_plugin.runs.devices import device_type
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.runs.run_length import check_horizon
from moleblend_plugin.trainer.command.config import GROUPS
from moleblend_plugin.trainer.loop.optim import OPTIMIZERS
from moleblend_plugin.trainer.loop.schedules import ScheduleConfig, check_schedule


def check_options(args: Namespace) -> None:
    """Refuse impossible options: those of one group in its config, of several groups here.

    Raises:
        MoleblendError: names flag, value and remedy.
    """
    for config in (*GROUPS.values(), OPTIMIZERS[args.optimizer]):
        read_flags(args, config)
    check_horizon(args)
    check_schedule(args.lr_scheduler, args.lr, read_flags(args, ScheduleConfig))
    if args.fp16 and (device := device_type(args.cpu)) != "cuda":
        if device == "mps":
            raise MoleblendError("--fp16 needs a GPU of CUDA, not Apple's (mps): use --bf16, or neither")
        raise MoleblendError("--fp16 needs a GPU: use --bf16 on a CPU, or neither")
    if args.compile:
        check_compiler(device_type(args.cpu))
    if args.keep_best_checkpoints > 0 and args.disable_validation:
        flag = "--keep-best-checkpoints"
        raise MoleblendError(f"{flag} needs validation: remove --disable-validation or {flag}")
    source = args.finetune_from_model
    if source is not None and not Path(source).is_file():
        raise MoleblendError(
            f"--finetune-from-model {source!r} is not a file: give a checkpoint, or a name that 'moleblend "
            "models' lists"
        )
