"""One update: gradients of several batches, normalised by all their samples, clipped, applied, averaged.

Several batches per update are gradient accumulation (``--update-freq``).
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.devices import empty_cache
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.trainer.command.config import GeneralConfig, UpdateConfig
from moleblend_plugin.trainer.contract.loss import BaseLoss, LoggingOutput
from moleblend_plugin.trainer.contract.model import BaseModel
from moleblend_plugin.trainer.contract.task import BaseTask
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.loop.batches import EpochBatches
from moleblend_plugin.trainer.loop.ema import MovingAverage
from moleblend_plugin.trainer.loop.engine import Engine
from moleblend_plugin.trainer.loop.optim import Optimizer, build_adamw
from moleblend_plugin.trainer.loop.schedules import SCHEDULES, Schedule
from moleblend_plugin.trainer.loop.seeding import torch_seed
from moleblend_plugin.trainer.loop.split_batch import NestedBatch, rows_of, split_batch
from moleblend_plugin.trainer.trouble.bad_updates import BadUpdates, merge_findings, row_ids_of
from moleblend_plugin.trainer.trouble.nonfinite import Growth, diagnose
from moleblend_plugin.trainer.trouble.out_of_memory import (
    BatchPart,
    UpdateOutputs,
    count_retries,
    is_out_of_memory,
    more_parts,
)


def total_updates(args: Namespace, batches_per_epoch: int) -> int:
    """Updates of the whole run as schedules count them: from epochs, else ``--max-update``."""
    if args.max_epoch > 0:
        return int((batches_per_epoch + 1) // args.update_freq[0] * args.max_epoch)
    return int(args.max_update)


class Trainer:
    """Model, loss, optimiser and schedule, and how an update changes them.

    Args:
        engine: devices and processes.
        task: the task.
        model: its model.
        loss: its loss.
        args: the run's options.
        batches_per_epoch: batches per epoch in this process.
    """

    def __init__(
        self,
        engine: Engine,
        task: BaseTask,
        model: BaseModel,
        loss: BaseLoss,
        args: Namespace,
        batches_per_epoch: int,
    ) -> None:
        self.general = read_flags(args, GeneralConfig)
        self.update = read_flags(args, UpdateConfig)
        self.engine = engine
        self.task = task
        self.inner_model = model
        if engine.sharded and next(loss.parameters(), None) is not None:
            raise MoleblendError(
                f"--ddp-backend fsdp: {type(loss).__name__} has weights of its own; use c10d"
            )
        if self.general.compile:
            model.compile(dynamic=True)  # in place, so names of weights stay; sizes differ between batches
        self.model: Any = engine.fabric.setup_module(model)  # the wrapper forwards what tasks call
        self.loss = loss.to(engine.fabric.device)
        parameters = [*model.named_parameters(), *loss.named_parameters()]
        adamw = build_adamw(parameters, args, fused=engine.scaler is None)
        self.optimizer = Optimizer(adamw, self._backward, engine.fabric.setup_optimizers(adamw).step)
        schedule = SCHEDULES[args.lr_scheduler]
        self.schedule: Schedule = schedule(args, total_updates(args, batches_per_epoch))
        self.ema = MovingAverage(model, self.general.ema_decay) if self.general.ema_decay > 0 else None
        self.bad_updates = BadUpdates(args, engine.is_first)
        self._growth = Growth()
        self._exchanging = False
        self.num_updates = 0
        self.set_num_updates(0)

    def set_num_updates(self, num_updates: int) -> None:
        """Set the number of updates done, and with it the learning rate of the next one."""
        self.num_updates = num_updates
        lr = self.schedule.at(num_updates)
        self.optimizer.set_lr(lr)
        metrics.log_scalar("num_updates", num_updates, weight=0, priority=200)
        metrics.log_scalar("lr", lr, weight=0, priority=300)

    def begin_epoch(self, epoch: int) -> None:
        """Notify schedule and task that an epoch begins."""
        self.schedule.begin_epoch(epoch)
        self.set_num_updates(self.num_updates)
        self.task.begin_epoch(epoch, self.inner_model)

    # --- one update -------------------------------------------------------------------------------------

    def train_step(self, samples: list[NestedBatch], batches: EpochBatches) -> bool:
        """Make one update from the batches of a group.

        An update whose loss or gradients are not finite is skipped: weights, optimiser, average and
        schedule stay as they were (``--max-bad-updates``).

        Args:
            samples: batches of this process; an empty one only keeps step with other processes.
            batches: where a stand-in for an empty batch comes from.

        Returns:
            Whether weights changed (float16 also skips an update whose gradients overflow).

        Raises:
            MoleblendError: too many updates in a row are not finite, or one sample exceeds the memory.
        """
        metrics.log_start_time("train_wall", priority=800, round=2)
        self.model.train()
        self.loss.train()
        group = self._join(self._gradients(samples, batches))
        self.engine.average_gradients(self.loss)
        self.engine.unscale(self.optimizer.inner)
        if group.size > 0:
            # Several processes hold the mean over processes; times their number it is the sum.
            self.optimizer.multiply_grads(self.engine.world_size / float(group.size))
        norm = self.optimizer.clip_grad_norm(self.update.clip_norm)
        scaler = self.engine.scaler
        finite = bool(torch.isfinite(norm))
        # Both are the same in every process: the losses were joined, the gradients exchanged.
        bad = float(group.bad) > 0 or (not finite and scaler is None)
        if bad:
            self._skip(samples, batches)
            if scaler is not None:
                scaler.update()  # forget that gradients were unscaled
        else:
            with torch_seed(self.general.seed, self.num_updates):
                self.task.optimizer_step(self.optimizer, self.model, self.num_updates)
        updated = finite and not bad
        if updated:
            if self.ema is not None:
                self.ema.update()
            self.set_num_updates(self.num_updates + 1)
            self._growth.update(self._log(group, norm))
            self.bad_updates.good()
        self._log_scale()
        metrics.log_stop_time("train_wall")
        return updated

    def _gradients(self, samples: list[NestedBatch], batches: EpochBatches) -> UpdateOutputs:
        """Gradients of all batches, one after the other; of a batch that is too large, piece after piece."""
        whole = [sample or batches.any_batch() for sample in samples]
        pieces, retries = [1] * len(samples), 0
        while True:
            self.optimizer.zero_grad()
            parts = [
                BatchPart(number, piece, batch, stand_in=not samples[number])
                for number, sample in enumerate(whole)
                for piece, batch in enumerate(split_batch(sample, pieces[number]))
            ]
            done = self._attempt(parts)
            if isinstance(done, UpdateOutputs):
                return replace(done, retries=retries)
            retries += 1
            number = done.number
            pieces[number] = more_parts(done, rows_of(whole[number]), pieces[number])
            empty_cache()

    def _attempt(self, parts: list[BatchPart]) -> UpdateOutputs | BatchPart:
        """Forward and backward of every part: what it gave, or the part that there was no memory for."""
        outputs: list[LoggingOutput] = []
        size: float | Tensor = 0.0
        bad: float | Tensor = 0.0
        for place, part in enumerate(parts):
            more = place + 1 < len(parts)
            self._exchanging = False
            try:
                batch = self.engine.to_device(part.batch)
                with self.engine.accumulate(self.model, more_follow=more), self._seeded(part):
                    value, samples, output = self.task.train_step(
                        batch,
                        self.model,
                        self.loss,
                        self.optimizer,
                        self.num_updates,
                        ignore_grad=part.stand_in,
                    )
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if self.engine.sharded or (self._exchanging and not more):
                    raise MoleblendError(
                        "out of memory while processes exchanged gradients, where a batch cannot be tried "
                        "again: give a smaller --batch-size and a larger --update-freq"
                    ) from error
                return part
            if part.stand_in:
                output = {
                    key: value * 0 for key, value in output.items() if not isinstance(value, str | list)
                }
            else:
                size = size + samples
                bad = bad + (~torch.isfinite(value.detach())).sum()
            outputs.append(output)
        return UpdateOutputs(outputs, size, bad)

    def _backward(self, loss: Tensor) -> None:
        self._exchanging = self.engine.world_size > 1
        self.engine.backward(loss)

    def _seeded(self, part: BatchPart) -> AbstractContextManager[None]:
        # A whole batch draws what it draws under Uni-Core; later pieces must not repeat its numbers.
        piece = (part.piece,) if part.piece else ()
        return torch_seed(self.general.seed, self.num_updates, part.number, self.engine.rank, *piece)

    def _join(self, group: UpdateOutputs) -> UpdateOutputs:
        if self.engine.world_size == 1:
            return group
        numbers = [float(group.size), float(group.bad), float(group.retries)]
        if self.task.logging_outputs_can_be_summed(self.loss, is_train=True):
            keys = list(group.outputs[0])
            sums = [float(sum(output[key] for output in group.outputs)) for key in keys]
            size, bad, retries, *summed = self.engine.sum([*numbers, *sums])
            return UpdateOutputs([dict(zip(keys, summed, strict=True))], size, bad, int(retries))
        parts = self.engine.gather((group.outputs, numbers))
        outputs = [output for found, _ in parts for output in found]
        size, bad, retries = (sum(column) for column in zip(*(found for _, found in parts), strict=True))
        return UpdateOutputs(outputs, size, bad, int(retries))

    def _log(self, group: UpdateOutputs, norm: Tensor) -> float:
        """Log an update; gives its loss."""
        metrics.log_speed("ups", 1, priority=100, round=2)
        metrics.log_scalar("gnorm", norm, priority=400, round=3)
        if self.update.clip_norm > 0:
            clipped = 100.0 if float(norm) > self.update.clip_norm else 0.0
            metrics.log_scalar("clip", clipped, priority=500, round=1)
        count_retries(group.retries)
        with metrics.aggregate() as meters:
            self.task.reduce_metrics(group.outputs, self.loss)
        if "loss" not in meters:
            name = type(self.loss).__name__
            raise MoleblendError(f"{name}.reduce_metrics logs no 'loss': call log_scalar('loss', ...) there")
        return float(meters.get_smoothed_value("loss", rounded=False) or 0.0)

    def _log_scale(self) -> None:
        scaler = self.engine.scaler
        if scaler is None:
            return
        scale = scaler.get_scale()
        metrics.log_scalar("loss_scale", scale, weight=0, priority=700, round=4)
        if scale < self.general.min_loss_scale:
            raise MoleblendError(
                f"the loss scale fell to {scale:g}, below --min-loss-scale: gradients keep overflowing; "
                "lower --lr, set --clip-norm, or use --bf16"
            )

    def _skip(self, samples: list[NestedBatch], batches: EpochBatches) -> None:
        """Say what was not finite in this update, in all processes together, and count it."""

        @contextmanager
        def surroundings(number: int) -> Iterator[None]:
            with self._seeded(BatchPart(number, 0, {})), self.engine.fabric.autocast():
                yield

        mine = [self.engine.to_device(sample) for sample in samples if sample]
        # Processes that hold parts of the weights can compute in step only, not each its own batches.
        alone = not self.engine.sharded
        probe = self.engine.to_device(batches.any_batch()) if alone and self.num_updates else None
        found = diagnose(self.inner_model, self.loss, mine, surroundings, alone, probe, self._growth.diverged)
        named = row_ids_of(batches.dataset, found.indices)
        self.optimizer.zero_grad()
        parts = self.engine.gather((found, named))
        self.bad_updates.note(merge_findings(parts, self.num_updates + 1, batches.epoch))
