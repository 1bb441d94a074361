"""What a checkpoint holds, and under which names it is kept."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict

import torch

from moleblend_plugin.runs.run_files import BEST_CHECKPOINT, LAST_CHECKPOINT
from moleblend_plugin.trainer.checkpoints.file import State, prune, write_checkpoint
from moleblend_plugin.trainer.checkpoints.resume import UNICORE_ADAM, Unfinished
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.loop.session import Session
from moleblend_plugin.trainer.loop.sharding import full
from moleblend_plugin.trainer.loop.split_batch import map_tensors
from moleblend_plugin.trainer.nodes.heartbeat import uninterrupted

logger = logging.getLogger("moleblend-train")


def session_state(session: Session) -> State:
    """All state of a run, on the CPU, in Uni-Core's layout with our additions under ``extra_state``."""
    trainer, progress = session.trainer, session.early_stopping
    has_parameters = next(trainer.loss.parameters(), None) is not None
    entry = {
        "loss_name": type(trainer.loss).__name__,
        "optimizer_name": UNICORE_ADAM,
        "lr_scheduler_state": trainer.schedule.state_dict(),
        "num_updates": trainer.num_updates,
    }
    extra: State = {
        "metrics": metrics.state_dict(),
        "previous_training_time": session.seconds(),
        "train_iterator": session.batches.state_dict(),
        "val_loss": progress.valid_loss,
        "progress": progress.state_dict(),
    }
    if progress.best is not None:
        extra["best"] = progress.best
    if session.unfinished is not None:
        extra["unfinished"] = asdict(session.unfinished)
    if trainer.engine.scaler is not None:
        extra["grad_scaler"] = trainer.engine.scaler.state_dict()
    state: State = {
        "args": session.args,
        "model": trainer.inner_model.state_dict(),
        "loss": trainer.loss.state_dict() if has_parameters else None,
        "optimizer_history": [*session.history, entry],
        "task_state": session.task.state_dict(),
        "extra_state": extra,
    }
    if not session.save.no_save_optimizer_state:
        state["last_optimizer_state"] = trainer.optimizer.state_dict()
    if trainer.ema is not None:
        state["ema"] = trainer.ema.state_dict()
    return {key: map_tensors(value, _stored) for key, value in state.items()}


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    """Whole, on the CPU, no shorter than float32."""
    half = tensor.dtype in (torch.float16, torch.bfloat16)
    return full(tensor.detach()).to("cpu", torch.float32 if half else tensor.dtype)


def checkpoint_names(session: Session) -> list[str]:
    """File names of the checkpoint to be written now."""
    save, progress = session.save, session.early_stopping
    epoch, updates = session.batches.epoch, session.trainer.num_updates
    at_end = session.batches.end_of_epoch()
    metric = progress.valid_loss
    names = []
    if at_end and not save.no_epoch_checkpoints and epoch % save.save_interval == 0:
        names.append(f"checkpoint{epoch}.pt")
    if not at_end and save.save_interval_updates > 0 and updates % save.save_interval_updates == 0:
        names.append(f"checkpoint_{epoch}_{updates}.pt")
    if metric is not None and metric == progress.best:
        names.append(BEST_CHECKPOINT)
    if metric is not None and save.keep_best_checkpoints > 0:
        names.append(f"checkpoint.best_{session.valid.best_checkpoint_metric}_{metric:.5f}.pt")
    if not save.no_last_checkpoints:
        names.append(LAST_CHECKPOINT)
    return names


def save_checkpoint(session: Session) -> None:
    """Write the run's state under the names it deserves now, and remove those beyond ``--keep-*``."""
    names = checkpoint_names(session)
    if session.save.no_save or not names:
        return
    state = session_state(session) if session.engine.is_first or session.engine.sharded else {}
    if session.engine.is_first:
        began = time.monotonic()
        if session.lock is not None:
            session.lock.check()
        with uninterrupted():
            write_checkpoint(state, session.save.folder, names)
        prune(session.save, session.valid, session.batches.end_of_epoch())
        logger.info(
            f"Saved checkpoint {session.save.folder / names[0]} (epoch {session.batches.epoch} @ "
            f"{session.trainer.num_updates} updates, score {session.early_stopping.valid_loss}) "
            f"(writing took {time.monotonic() - began:.2f} seconds)"
        )
        if session.saved is not None:
            session.saved()
    session.engine.barrier()


def save_interrupted(session: Session, updated: bool) -> str:
    """Write ``checkpoint_last.pt`` right after an update, before validation and saving were looked at.

    Args:
        session: the run.
        updated: whether the update changed weights.

    Returns:
        What was done and how to go on, in one line.
    """
    after = f"stopped after update {session.trainer.num_updates}"
    if session.save.no_save:
        return f"{after}; --no-save: nothing is kept"
    batches, path = session.batches, session.save.folder / LAST_CHECKPOINT
    session.unfinished = Unfinished(batches.epoch, batches.position, updated)
    state = session_state(session) if session.engine.is_first or session.engine.sharded else {}
    if session.engine.is_first:
        if session.lock is not None:
            session.lock.check()
        with uninterrupted():
            write_checkpoint(state, session.save.folder, [LAST_CHECKPOINT])
    session.engine.barrier()
    without = "" if session.args.restore_file == LAST_CHECKPOINT else " without --restore-file"
    return f"{after}, saved {path}: run the same command again{without} to resume"
