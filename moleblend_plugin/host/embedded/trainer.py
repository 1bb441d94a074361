"""One update: gradients of several batches, normalised by all their samples, clipped, applied, averaged."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import torch
from torch import Tensor, nn

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host.embedded import metrics
from moleblend_plugin.host.embedded.batches import Batch, EpochBatches
from moleblend_plugin.host.embedded.config import UpdateConfig
from moleblend_plugin.host.embedded.ema import MovingAverage
from moleblend_plugin.host.embedded.engine import Engine
from moleblend_plugin.host.embedded.loss import BaseLoss, LoggingOutput
from moleblend_plugin.host.embedded.model import BaseModel
from moleblend_plugin.host.embedded.nonfinite import first_bad_gradient, watch_outputs
from moleblend_plugin.host.embedded.optim import Optimizer, build_adamw
from moleblend_plugin.host.embedded.schedules import SCHEDULES, Schedule
from moleblend_plugin.host.embedded.seeding import torch_seed
from moleblend_plugin.host.embedded.task import BaseTask


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
        self.config = UpdateConfig.from_args(args)
        self.engine = engine
        self.task = task
        self.inner_model = model
        self.model: Any = engine.fabric.setup_module(model)  # the wrapper forwards what tasks call
        self.loss = loss.to(engine.fabric.device)
        parameters = [*model.named_parameters(), *loss.named_parameters()]
        adamw = build_adamw(parameters, args)
        self.optimizer = Optimizer(adamw, engine.backward, engine.fabric.setup_optimizers(adamw).step)
        schedule = SCHEDULES[args.lr_scheduler]
        self.schedule: Schedule = schedule(args, total_updates(args, batches_per_epoch))
        self.ema = MovingAverage(model, self.config.ema_decay) if self.config.ema_decay > 0 else None
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
        """Tell schedule and task that an epoch begins."""
        self.schedule.begin_epoch(epoch)
        self.set_num_updates(self.num_updates)
        self.task.begin_epoch(epoch, self.inner_model)

    # --- one update -------------------------------------------------------------------------------------

    def train_step(self, samples: list[Batch], batches: EpochBatches) -> bool:
        """Make one update from the batches of a group.

        Args:
            samples: batches of this process; an empty one only keeps step with other processes.
            batches: where a stand-in for an empty batch comes from.

        Returns:
            Whether weights changed (float16 skips an update whose gradients overflow).

        Raises:
            MoleblendError: loss or gradients are not finite.
        """
        metrics.log_start_time("train_wall", priority=800, round=2)
        self.model.train()
        self.loss.train()
        self.optimizer.zero_grad()
        outputs, sample_size = self._gradients(samples, batches)
        outputs, sample_size = self._join(outputs, sample_size)
        self.engine.average_gradients(self.loss)
        self.engine.unscale(self.optimizer.inner)
        if sample_size > 0:
            # Several processes hold the mean over processes; times their number it is the sum.
            self.optimizer.multiply_grads(self.engine.world_size / sample_size)
        norm = self.optimizer.clip_grad_norm(self.config.clip_norm)
        finite = bool(torch.isfinite(norm))
        if not finite and self.engine.scaler is None:
            raise MoleblendError(self._explain(samples))
        with torch_seed(self.config.seed, self.num_updates):
            self.task.optimizer_step(self.optimizer, self.model, self.num_updates)
        if finite:
            if self.ema is not None:
                self.ema.update()
            self.set_num_updates(self.num_updates + 1)
            self._log(outputs, norm)
        self._log_scale()
        metrics.log_stop_time("train_wall")
        return finite

    def _gradients(
        self, samples: list[Batch], batches: EpochBatches
    ) -> tuple[list[LoggingOutput], float | Tensor]:
        outputs: list[LoggingOutput] = []
        total: float | Tensor = 0.0
        for number, sample in enumerate(samples):
            stand_in = not sample
            batch = self.engine.to_device(batches.any_batch() if stand_in else sample)
            with (
                self.engine.accumulate(self.model, more_follow=number + 1 < len(samples)),
                torch_seed(self.config.seed, self.num_updates, number, self.engine.rank),
            ):
                _, size, output = self.task.train_step(
                    batch, self.model, self.loss, self.optimizer, self.num_updates, ignore_grad=stand_in
                )
            if stand_in:
                output = {
                    key: value * 0 for key, value in output.items() if not isinstance(value, str | list)
                }
            else:
                total = total + size
            outputs.append(output)
        return outputs, total

    def _join(
        self, outputs: list[LoggingOutput], sample_size: float | Tensor
    ) -> tuple[list[LoggingOutput], float]:
        size = float(sample_size)
        if self.engine.world_size == 1:
            return outputs, size
        if self.task.logging_outputs_can_be_summed(self.loss, is_train=True):
            keys = list(outputs[0])
            sums = [float(sum(output[key] for output in outputs)) for key in keys]
            total, *summed = self.engine.sum([size, *sums])
            return [dict(zip(keys, summed, strict=True))], total
        gathered = self.engine.gather((outputs, size))
        return [output for part, _ in gathered for output in part], sum(part for _, part in gathered)

    def _log(self, outputs: list[LoggingOutput], norm: Tensor) -> None:
        metrics.log_speed("ups", 1, priority=100, round=2)
        metrics.log_scalar("gnorm", norm, priority=400, round=3)
        if self.config.clip_norm > 0:
            clipped = 100.0 if float(norm) > self.config.clip_norm else 0.0
            metrics.log_scalar("clip", clipped, priority=500, round=1)
        with metrics.aggregate() as meters:
            self.task.reduce_metrics(outputs, self.loss)
        if "loss" not in meters:
            name = type(self.loss).__name__
            raise MoleblendError(f"{name}.reduce_metrics logs no 'loss': call log_scalar('loss', ...) there")

    def _log_scale(self) -> None:
        scaler = self.engine.scaler
        if scaler is None:
            return
        scale = scaler.get_scale()
        metrics.log_scalar("loss_scale", scale, weight=0, priority=700, round=4)
        if scale < self.config.min_loss_scale:
            raise MoleblendError(
                f"the loss scale fell to {scale:g}, below --min-loss-scale: gradients keep overflowing; "
                "lower --lr, set --clip-norm, or use --bf16"
            )

    def _explain(self, samples: list[Batch]) -> str:
        parameter = first_bad_gradient(self.inner_model) or first_bad_gradient(self.loss)
        module = self._first_bad_module([sample for sample in samples if sample])
        where = f"first in the output of {module}" if module else f"first in the gradient of {parameter}"
        return (
            f"loss or gradients are not finite at update {self.num_updates + 1}, {where}: "
            "lower --lr, set --clip-norm, or look at the data"
        )

    @torch.no_grad()
    def _first_bad_module(self, samples: list[Batch]) -> str | None:
        module: nn.Module = self.inner_model
        for number, sample in enumerate(samples):
            with (
                watch_outputs(module) as found,
                torch_seed(self.config.seed, self.num_updates, number, self.engine.rank),
                self.engine.fabric.autocast(),
            ):
                self.loss(self.inner_model, self.engine.to_device(sample))
            if found:
                return found[0]
        return None
