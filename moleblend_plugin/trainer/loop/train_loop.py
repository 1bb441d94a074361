"""Epochs and updates of a run; after every update: log, validate, save, or stop."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator

from moleblend_plugin.trainer.checkpoints.save import save_checkpoint, save_interrupted
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.loop.session import Session, train_batches
from moleblend_plugin.trainer.loop.split_batch import NestedBatch
from moleblend_plugin.trainer.loop.validation import validate
from moleblend_plugin.trainer.trouble.signals import STOP, Interrupted

logger = logging.getLogger("moleblend-train")


def grouped(batches: Iterable[NestedBatch], size: int) -> Iterator[list[NestedBatch]]:
    """Batches in groups of ``size``, one group per update; the last group may be smaller."""
    group: list[NestedBatch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def waited_for(batches: Iterable[NestedBatch]) -> Iterator[NestedBatch]:
    """The same batches; how long the trainer waited for them is logged as ``data_wait``, in seconds."""
    source = iter(batches)
    while True:
        with metrics.aggregate("train_inner"):
            metrics.log_start_time("data_wait", priority=810, round=2)
            try:
                batch = next(source)
            except StopIteration:
                return
            finally:
                metrics.log_stop_time("data_wait")
        yield batch


def train(session: Session) -> None:
    """Train until an epoch, an update, a time, a learning rate or patience ends the run.

    Raises:
        Interrupted: SIGTERM or SIGINT; the run's state is saved.
    """
    with STOP.deferred(several=session.engine.world_size > 1):
        _train_epochs(session)
    logger.info(f"done training in {session.seconds():.1f} seconds")


def _train_epochs(session: Session) -> None:
    args, trainer = session.args, session.trainer
    stop = _nothing_left(session)
    while not stop and session.coming_epoch() <= (args.max_epoch or math.inf):
        if session.unfinished is None and trainer.optimizer.get_lr() <= args.stop_min_lr:
            logger.info(f"stopping: the learning rate {trainer.optimizer.get_lr():g} is at --stop-min-lr")
            break
        stop = _train_epoch(session)
        if stop:
            break
        next_epoch = session.batches.next_epoch
        if next_epoch <= (args.max_epoch or math.inf):
            if session.task.has_sharded_data("train"):
                session.task.load_dataset(
                    args.train_subset, combine=True, epoch=next_epoch, data_selector=None
                )
            session.batches = train_batches(session.task, args, session.engine, next_epoch)


def _nothing_left(session: Session) -> bool:
    """Whether a resumed run is already at its end."""
    args, done = session.args, session.trainer.num_updates
    if session.unfinished is not None:
        return False
    if args.max_update and done >= args.max_update:
        logger.info(f"nothing left to train: {done} updates are done, --max-update is {args.max_update}")
        return True
    if session.early_stopping.out_of_patience(session.valid):
        logger.info("nothing left to train: patience was at its end; give a larger --patience to continue")
        return True
    return False


def _train_epoch(session: Session) -> bool:
    """Train one epoch, or what is left of it.

    Returns:
        Whether the run is at its end.
    """
    args, trainer, batches = session.args, session.trainer, session.batches
    epoch = session.coming_epoch()
    frequency = args.update_freq[min(epoch, len(args.update_freq)) - 1]
    iterator = waited_for(batches.iterate(shuffle=epoch > args.curriculum))
    size = math.ceil(len(batches) / frequency)
    done = math.ceil(batches.position / frequency)
    unfinished, session.unfinished = session.unfinished, None
    with metrics.aggregate("train") as averages:
        trainer.begin_epoch(epoch)
        stop = unfinished is not None and _finish_update(session, unfinished.updated)
        for samples in () if stop else grouped(iterator, frequency):
            with metrics.aggregate("train_inner"):
                updated = trainer.train_step(samples, batches)
            done += 1
            if updated:
                _log_interval(session, epoch, done, size)
            stop = _finish_update(session, updated)
            if stop:
                break
        shown, exact = averages.get_smoothed_values(), averages.get_smoothed_values(rounded=False)
        session.report.summary("train", epoch, shown | session.wall(), exact | session.wall())
        averages.reset()
    return stop


def _log_interval(session: Session, epoch: int, done: int, size: int) -> None:
    num_updates = session.trainer.num_updates
    session.report.updated(num_updates)
    if num_updates % session.args.log_interval == 0:
        session.report.interval(epoch, done, size, session.wall())
        metrics.get_meters("train_inner").reset()


def _finish_update(session: Session, updated: bool) -> bool:
    """Do what is due after an update, or save and leave where the run shall stop.

    Validation that is due then, or was interrupted, comes first when the run is taken up again.

    Returns:
        Whether the run is at its end.

    Raises:
        Interrupted: the run shall stop.
    """
    try:
        STOP.check(session.engine)
        return _validate_and_save(session, updated)
    except Interrupted as wish:
        raise Interrupted(wish.number, save_interrupted(session, updated)) from None


def _validate_and_save(session: Session, updated: bool) -> bool:
    """Do what is due after an update.

    Returns:
        Whether the run is at its end.
    """
    at_end = session.batches.end_of_epoch()
    stop = _limit_reached(session)
    due_to_save = stop or (updated and _interval_to_save(session)) or (at_end and _epoch_to_save(session))
    metric = None
    if _due_to_validate(session, updated, stop, due_to_save):
        metric = validate(session, session.batches.epoch)
    if session.early_stopping.update(metric, session.valid):
        logger.info(f"early stop: no better metric in the last {session.valid.patience} validations")
        stop = True
    if at_end:
        session.trainer.schedule.end_epoch(metric)  # before saving, so that a restart knows
    if due_to_save or stop:
        save_checkpoint(session)
    return stop


def _epoch_to_save(session: Session) -> bool:
    return session.batches.epoch % session.save.save_interval == 0


def _interval_to_save(session: Session) -> bool:
    done = session.trainer.num_updates
    every = session.save.save_interval_updates
    return every > 0 and done % every == 0 and done >= session.valid.validate_after_updates


def _due_to_validate(session: Session, updated: bool, stop: bool, due_to_save: bool) -> bool:
    config, done = session.valid, session.trainer.num_updates
    if config.disable_validation:
        return False
    if stop:
        return True
    if done < config.validate_after_updates:
        return False
    if session.batches.end_of_epoch():
        epoch_due = session.batches.epoch % config.validate_interval == 0
    else:
        epoch_due = due_to_save  # a checkpoint within an epoch is validated
    every = config.validate_interval_updates
    return epoch_due or (updated and every > 0 and done % every == 0)


def _limit_reached(session: Session) -> bool:
    args, done = session.args, session.trainer.num_updates
    if args.max_update and done >= args.max_update:
        logger.info(f"stopping: {done} updates are done, --max-update is {args.max_update}")
        return True
    if args.stop_time_hours > 0:
        # The first process's clock counts for all.
        mine = float(session.engine.is_first and session.seconds() > args.stop_time_hours * 3600)
        if session.engine.sum([mine])[0] > 0:
            logger.info(f"stopping: --stop-time-hours {args.stop_time_hours} are over")
            return True
    return False
