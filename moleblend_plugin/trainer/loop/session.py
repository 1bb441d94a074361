"""What a run consists of, and how it is put together or taken up again from a checkpoint."""

from __future__ import annotations

import logging
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.locks import Lock
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.trainer.checkpoints.file import check_plain, prepare_folder
from moleblend_plugin.trainer.checkpoints.resume import (
    Start,
    Unfinished,
    find_start,
    load_weights,
    restore_data,
    restore_trainer,
)
from moleblend_plugin.trainer.command.config import DataConfig, SaveConfig, ValidConfig
from moleblend_plugin.trainer.contract.registry import TASKS
from moleblend_plugin.trainer.contract.task import BaseTask
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.logging.logs import Reporter
from moleblend_plugin.trainer.loop.batches import EpochBatches
from moleblend_plugin.trainer.loop.early_stopping import EarlyStopping
from moleblend_plugin.trainer.loop.engine import Engine
from moleblend_plugin.trainer.loop.seeding import seed_everything
from moleblend_plugin.trainer.loop.trainer import Trainer

logger = logging.getLogger("moleblend-train")


@dataclass(slots=True)
class Session:
    """One run in one process.

    Attributes:
        args: the run's options.
        engine: devices and processes.
        task: the task, with its data.
        trainer: model, loss, optimiser and schedule.
        batches: training batches, with the position in them.
        early_stopping: best metric and patience.
        data: what is read.
        valid: when and how to validate.
        save: when and where to save.
        report: log lines and log file.
        history: optimisers of earlier parts of the run, as checkpoints keep them.
        seconds_before: training time before this start.
        unfinished: the update after which the run was interrupted, if validation and saving are still due.
        lock: of the folder, in the process that saves.
        saved: called in that process when checkpoints were written.
    """

    args: Namespace
    engine: Engine
    task: BaseTask
    trainer: Trainer
    batches: EpochBatches
    early_stopping: EarlyStopping
    data: DataConfig
    valid: ValidConfig
    save: SaveConfig
    report: Reporter
    history: list[dict[str, object]] = field(default_factory=list)
    seconds_before: float = 0.0
    unfinished: Unfinished | None = None
    lock: Lock | None = None
    saved: Callable[[], None] | None = None
    started: float = field(default_factory=time.monotonic)

    def coming_epoch(self) -> int:
        """The epoch that is trained or finished next."""
        return self.batches.next_epoch if self.unfinished is None else self.batches.epoch

    def seconds(self) -> float:
        """Training time so far, over all restarts."""
        return self.seconds_before + time.monotonic() - self.started

    def wall(self) -> dict[str, int | float]:
        """The value ``wall`` of a log line, in whole seconds."""
        return {"wall": round(self.seconds(), 0)}


def train_batches(task: BaseTask, args: Namespace, engine: Engine, epoch: int) -> EpochBatches:
    """Training batches from an epoch on.

    Raises:
        MoleblendError: there are no samples.
    """
    return _batches(task, args, engine, args.train_subset, args.batch_size, epoch)


def valid_batches(task: BaseTask, args: Namespace, engine: Engine, subset: str) -> EpochBatches:
    """Validation batches of a subset: always epoch 1, so that samples stay the same.

    Raises:
        MoleblendError: there are no samples.
    """
    return _batches(task, args, engine, subset, args.batch_size_valid, epoch=1)


def _batches(
    task: BaseTask, args: Namespace, engine: Engine, split: str, batch_size: int, epoch: int
) -> EpochBatches:
    batches = task.get_batch_iterator(
        dataset=task.dataset(split),
        batch_size=batch_size,
        required_batch_size_multiple=args.required_batch_size_multiple,
        seed=args.seed,
        num_shards=engine.world_size,
        shard_id=engine.rank,
        num_workers=args.num_workers,
        epoch=epoch,
        data_buffer_size=args.data_buffer_size,
    )
    if len(batches) == 0:
        raise MoleblendError(f"split {split!r} holds no samples: check the data that it is read from")
    return batches


def build_session(args: Namespace, engine: Engine) -> Session:
    """Put a run together: task, model, data, trainer; take up a checkpoint where there is one.

    Raises:
        MoleblendError: something the user gave does not work.
    """
    metrics.reset()
    seed_everything(args.seed)
    save, data = read_flags(args, SaveConfig), read_flags(args, DataConfig)
    if engine.is_first and not save.no_save:
        prepare_folder(save.folder)
    task = TASKS[args.task].setup_task(args)
    model = task.build_model(args)
    engine.settle_threads(model)
    loss = task.build_loss(args)
    check_plain(args)
    if not args.disable_validation:
        for subset in data.valid_subsets:
            task.load_dataset(subset, combine=False, epoch=1)
    start = find_start(args)
    load_weights(start, model, loss, args)
    epoch = start.epoch
    task.load_dataset(args.train_subset, combine=True, epoch=epoch, data_selector=None)
    batches = train_batches(task, args, engine, epoch)
    restore_data(start, batches)
    trainer = Trainer(engine, task, model, loss, args, len(batches))
    session = Session(
        args=args,
        engine=engine,
        task=task,
        trainer=trainer,
        batches=batches,
        early_stopping=EarlyStopping(),
        data=data,
        valid=read_flags(args, ValidConfig),
        save=save,
        report=Reporter(args, engine.is_first, _planned_updates(args, len(batches))),
    )
    _resume(session, start)
    _introduce(session, start)
    return session


def _resume(session: Session, start: Start) -> None:
    restored = restore_trainer(start, session.trainer, session.args)
    session.early_stopping = restored.early_stopping
    session.history = restored.history
    session.seconds_before = restored.seconds
    session.unfinished = start.unfinished
    metrics.log_start_time("wall", priority=790, round=2)  # Uni-Core looks for it in a checkpoint


def _planned_updates(args: Namespace, batches_per_epoch: int) -> int:
    by_epochs = 0
    if args.max_epoch:
        frequencies = [*args.update_freq, *[args.update_freq[-1]] * args.max_epoch][: args.max_epoch]
        by_epochs = sum(-(-batches_per_epoch // frequency) for frequency in frequencies)
    limits = [limit for limit in (by_epochs, args.max_update) if limit]
    return min(limits, default=0)


def _introduce(session: Session, start: Start) -> None:
    args, model = session.args, session.trainer.inner_model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    logger.info(f"task {args.task}, arch {args.arch} ({type(model).__name__}), loss {args.loss}")
    logger.info(f"num. model params: {parameters:,} (num. trained: {trained:,})")
    logger.info(
        f"{session.engine.world_size} process(es) on {session.engine.fabric.device.type}, "
        f"batch size per process {args.batch_size}, {len(session.batches)} batches per epoch"
    )
    logger.info(start.describe(session.trainer.num_updates))
