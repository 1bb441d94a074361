"""Taking a run up again, or starting from another run's weights."""

from __future__ import annotations

import logging
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.runs.run_files import LAST_CHECKPOINT
from moleblend_plugin.trainer.checkpoints.file import DamagedCheckpoint, State, newest_intact, read_checkpoint
from moleblend_plugin.trainer.command.parse_values import parse_overrides
from moleblend_plugin.trainer.contract.loss import BaseLoss
from moleblend_plugin.trainer.contract.model import BaseModel
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.loop.batches import EpochBatches
from moleblend_plugin.trainer.loop.early_stopping import EarlyStopping
from moleblend_plugin.trainer.loop.optim import AdamConfig
from moleblend_plugin.trainer.loop.trainer import Trainer

logger = logging.getLogger("moleblend-train")

UNICORE_ADAM = "UnicoreAdam"
"""Name under which Uni-Core knows the optimiser of fp32 runs; checkpoints of both hosts say so."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The update after which a run was interrupted: validation and saving have not been looked at.

    Attributes:
        epoch: its epoch.
        position: batches of the epoch handed out so far, maybe all.
        updated: whether weights changed.
    """

    epoch: int
    position: int
    updated: bool


@dataclass(frozen=True, slots=True)
class Start:
    """The checkpoint that a run starts from.

    Attributes:
        path: its file, ``None`` for a fresh start.
        state: its content, empty for a fresh start.
        weights_only: whether only weights are taken (fine-tuning).
        keep_data: whether the position in the data is taken.
    """

    path: Path | None = None
    state: State = field(default_factory=dict)
    weights_only: bool = False
    keep_data: bool = False

    @property
    def epoch(self) -> int:
        """The epoch to start in."""
        return int(self.position["epoch"]) if self.keep_data else 1

    @property
    def unfinished(self) -> Unfinished | None:
        """The update that the run's last part did not finish."""
        found = self.state["extra_state"].get("unfinished") if self.keep_data else None
        return Unfinished(**found) if found else None

    @property
    def position(self) -> dict[str, Any]:
        """The position in the data, before an unfinished update's end of epoch."""
        position: dict[str, Any] = self.state["extra_state"]["train_iterator"]
        if self.unfinished is None:
            return position
        return position | {"epoch": self.unfinished.epoch, "iterations_in_epoch": self.unfinished.position}

    def describe(self, num_updates: int) -> str:
        """One line on where the run starts."""
        if self.path is None:
            return "No existing checkpoint found: starting with fresh weights"
        if self.weights_only:
            return f"Loaded weights of {self.path}: optimiser, schedule, averages and data start afresh"
        return f"Loaded checkpoint {self.path} (epoch {self.epoch} @ {num_updates} updates)"


def find_start(args: Namespace) -> Start:
    """The checkpoint to start from: the run's last one, ``--restore-file``, or ``--finetune-from-model``.

    Raises:
        MoleblendError: a file that was named is missing or unreadable.
    """
    last = Path(args.save_dir) / LAST_CHECKPOINT
    keep_data = not args.reset_dataloader
    if args.restore_file != LAST_CHECKPOINT:
        path = Path(args.restore_file)
        return Start(path, read_checkpoint(path), keep_data=keep_data)
    if last.is_file():
        if args.finetune_from_model:
            logger.info(
                f"{last} exists: resuming from it; --finetune-from-model was where this run began. "
                "Choose an empty --save-dir to begin again"
            )
        return Start(last, _read_last(last), keep_data=keep_data)
    if args.finetune_from_model:
        path = Path(args.finetune_from_model)
        return Start(path, read_checkpoint(path, required=("model",)), weights_only=True)
    return Start()


def _read_last(path: Path) -> State:
    try:
        return read_checkpoint(path)
    except DamagedCheckpoint as error:
        other = newest_intact(path.parent, besides=path)
        remedy = (
            f"the newest intact one is {other}: resume with --restore-file {other}"
            if other
            else "there is no intact one beside it: begin again in an empty --save-dir"
        )
        raise DamagedCheckpoint(f"{str(error).removesuffix(': use another one')}; {remedy}") from error


def load_weights(start: Start, model: BaseModel, loss: BaseLoss, args: Namespace) -> None:
    """Load a checkpoint's weights: all of them to resume, those that fit by name to fine-tune.

    Raises:
        MoleblendError: shapes differ, names differ (going on), or no name fits (fine-tuning).
    """
    if start.path is None:
        return
    weights = start.state["model"]
    if args.load_from_ema:
        if "ema" not in start.state:
            raise MoleblendError(f"{str(start.path)!r} holds no moving average: remove --load-from-ema")
        weights = start.state["ema"]["params"]
    try:
        result = model.load_state_dict(weights, strict=False, model_args=args)
        if next(loss.parameters(), None) is not None and start.state.get("loss") and not start.weights_only:
            loss.load_state_dict(start.state["loss"])
    except RuntimeError as error:
        reason = " ".join(str(error).splitlines()[1:2]).strip() or str(error)
        raise MoleblendError(
            f"the weights of {str(start.path)!r} do not fit --arch {args.arch}: {reason} "
            "Give the options that the checkpoint was trained with"
        ) from error
    missing, unexpected = list(result.missing_keys), list(result.unexpected_keys)
    own = len(model.state_dict())
    if start.weights_only:
        if len(missing) == own:
            raise MoleblendError(
                f"no name in {str(start.path)!r} fits --arch {args.arch} (it holds {_some(unexpected)}; "
                f"the model wants {_some(missing)}): nothing would be loaded"
            )
        if missing:
            logger.warning(f"{len(missing)} of {own} weights keep their fresh values: {_some(missing)}")
        if unexpected:
            logger.warning(f"{len(unexpected)} weights of the checkpoint are not used: {_some(unexpected)}")
    elif missing or unexpected:
        raise MoleblendError(
            f"{str(start.path)!r} does not fit --arch {args.arch}: missing {_some(missing)}, "
            f"left over {_some(unexpected)}; to start from its weights give --finetune-from-model"
        )


def _some(names: list[str], most: int = 4) -> str:
    shown = ", ".join(names[:most]) or "nothing"
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def restore_data(start: Start, batches: EpochBatches) -> None:
    """Go to the position in the data at which the checkpoint was written."""
    if start.keep_data:
        batches.load_state_dict(start.position)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a session takes from a checkpoint besides the trainer's own state."""

    early_stopping: EarlyStopping
    history: list[dict[str, Any]]
    seconds: float


def restore_trainer(start: Start, trainer: Trainer, args: Namespace) -> Restored:
    """Restore optimiser, schedule, average weights, logged averages, best metric and patience.

    Raises:
        MoleblendError: the checkpoint's optimiser does not fit.
    """
    if start.path is None or start.weights_only:
        return Restored(EarlyStopping(), [], 0.0)
    state, extra = start.state, start.state["extra_state"]
    latest = state["optimizer_history"][-1]
    if not args.reset_optimizer:
        _restore_optimizer(start, trainer, args)
    if not args.reset_optimizer and not args.reset_lr_scheduler:
        trainer.schedule.load_state_dict(latest["lr_scheduler_state"])
    if trainer.ema is not None and state.get("ema") and not args.load_from_ema:
        trainer.ema.load_state_dict(state["ema"])
    if trainer.engine.scaler is not None and extra.get("grad_scaler"):
        trainer.engine.scaler.load_state_dict(extra["grad_scaler"])
    if state.get("task_state"):
        trainer.task.load_state_dict(state["task_state"])
    progress = EarlyStopping()
    if not args.reset_meters:
        metrics.load_state_dict(extra.get("metrics", {}))
        if start.position["iterations_in_epoch"] == 0:
            metrics.get_meters("train").clear()  # a new epoch averages its own updates only
        kept = extra.get("progress", {})
        progress = EarlyStopping(
            best=extra.get("best"),
            valid_loss=extra.get("val_loss"),
            best_for_patience=kept.get("best_for_patience", extra.get("best")),
            runs_without_better=kept.get("runs_without_better", 0),
        )
    trainer.set_num_updates(0 if args.reset_optimizer else int(latest["num_updates"]))
    return Restored(progress, list(state["optimizer_history"]), float(extra.get("previous_training_time", 0)))


def _restore_optimizer(start: Start, trainer: Trainer, args: Namespace) -> None:
    saved = start.state.get("last_optimizer_state")
    if saved is None:
        logger.warning(f"{start.path} holds no optimiser state: its moments start afresh")
        return
    latest = start.state["optimizer_history"][-1]
    loss_name = type(trainer.loss).__name__
    if latest["loss_name"] != loss_name:
        raise MoleblendError(
            f"{str(start.path)!r} was trained with the loss {latest['loss_name']}, this command has "
            f"{loss_name}: give the same --loss, or --reset-optimizer"
        )
    if latest["optimizer_name"] != UNICORE_ADAM:
        raise MoleblendError(
            f"{str(start.path)!r} holds the state of {latest['optimizer_name']}, which cannot be resumed "
            "here: give --reset-optimizer"
        )
    adam = read_flags(args, AdamConfig)
    current = {"betas": adam.betas, "eps": adam.adam_eps}
    try:
        trainer.optimizer.load_state_dict(saved, parse_overrides(args.optimizer_overrides), current)
    except ValueError as error:
        raise MoleblendError(
            f"the optimiser state of {str(start.path)!r} does not fit this model and --weight-decay: "
            "give the same options, or --reset-optimizer"
        ) from error
