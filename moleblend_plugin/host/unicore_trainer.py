"""Uni-Core's trainer, with what this plugin adds for its own tasks.

Uni-Core ends the run at the first update whose loss or gradients are not finite. Its command builds the
trainer by the name ``Trainer`` of its own module, so a subclass put there before is what it builds: an update
that is not finite is skipped and named, as under the embedded trainer, and checkpoints are written as there.
"""

from __future__ import annotations

import argparse
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from moleblend_plugin.host.unicore_checkpoints import place_checkpoints_at_once
from moleblend_plugin.runs.compiler import check_compiler
from moleblend_plugin.runs.devices import device_type
from moleblend_plugin.runs.flags import add_flags
from moleblend_plugin.runs.run_lock import check_for_process
from moleblend_plugin.trainer.checkpoints.file import write_checkpoint
from moleblend_plugin.trainer.command.config import GeneralConfig, UpdateConfig
from moleblend_plugin.trainer.trouble.bad_updates import BadUpdates, merge_findings, row_ids_of
from moleblend_plugin.trainer.trouble.nonfinite import Growth, diagnose

_COMMANDS = ("unicore_cli.train", "__main__")
"""Modules that may be Uni-Core's command."""


class _NotFinite(Exception):
    """The gradients of an update are not finite, in all processes alike: they have been exchanged."""


def add_unicore_flags(parser: argparse.ArgumentParser) -> None:
    """Add the embedded trainer's options that our tasks offer under Uni-Core too."""
    add_flags(parser, GeneralConfig, only=("compile",))
    add_flags(parser, UpdateConfig, only=("max_bad_updates",))


def check_unicore_options(args: Namespace) -> None:
    """Refuse what those options cannot have.

    Raises:
        MoleblendError: there is no compiler for ``--compile``.
    """
    if getattr(args, "compile", False):  # arguments made by hand may lack it
        check_compiler(device_type())


def not_finite_in_all(loss: Callable[..., Any]) -> Callable[..., Any]:
    """A loss whose gradients are not finite where its value is not.

    Processes exchange gradients only: so all of them know of a bad value in one of them.
    """

    def checked(model: torch.nn.Module, sample: dict[str, Any]) -> tuple[Tensor, Any, Any]:
        value, size, logged = loss(model, sample)
        return value * torch.where(value.detach().isfinite(), 1.0, torch.nan).to(value.dtype), size, logged

    return checked


def extend_unicore() -> None:
    """Let Uni-Core's command build the trainer below, and place checkpoints safely, from now on."""
    place_checkpoints_at_once()
    theirs = import_module("unicore.trainer").Trainer
    for name in _COMMANDS:
        module = sys.modules.get(name)
        if module is not None and getattr(module, "Trainer", None) is theirs:
            module.Trainer = guarded(theirs)  # type: ignore[attr-defined]


def guarded(theirs: Any) -> Any:  # noqa: ANN401  Uni-Core has no types
    """A subclass of Uni-Core's trainer that skips and names updates that are not finite."""
    metrics = import_module("unicore.logging.metrics")
    utils = import_module("unicore.utils")
    # Without its aggregation of metrics, which an exception would leave open.
    make_update = getattr(theirs.train_step, "__wrapped__", theirs.train_step)

    class GuardedTrainer(theirs):  # type: ignore[misc]
        """Weights, optimiser, average and schedule stay as they were before such an update."""

        def __init__(self, args: Namespace, *parts: Any) -> None:
            super().__init__(args, *parts)
            self._bad = BadUpdates(args, self.data_parallel_rank == 0, metrics)
            self._growth = Growth()
            self._epoch = 1
            self._began = time.monotonic()

        def begin_epoch(self, epoch: int) -> None:
            """Remember the epoch."""
            self._epoch = epoch
            super().begin_epoch(epoch)

        def train_step(self, samples: list[Any], raise_oom: bool = False) -> dict[str, Any] | None:
            """One update, or ``None`` where it was skipped."""
            with metrics.aggregate("train"):
                try:
                    logged: dict[str, Any] | None = make_update(self, samples, raise_oom)
                except _NotFinite:
                    logged = None
                    self._skip(samples)
                if logged is not None:
                    self._growth.update(float(logged.get("loss", 0.0)))
                    self._bad.good()
            return logged

        def clip_grad_norm(self, clip_norm: float) -> Tensor:
            """The norm of all gradients, which is finite."""
            norm: Tensor = super().clip_grad_norm(clip_norm)
            if not bool(torch.isfinite(norm).all()):
                raise _NotFinite
            return norm

        def save_checkpoint(self, filename: str, extra_state: dict[str, Any]) -> None:
            """Write a checkpoint, complete or not at all."""
            state = utils.move_to_cpu(self.state_dict())  # in all processes
            state["extra_state"].update(extra_state)
            if self.should_save_checkpoint_on_current_rank:
                check_for_process()
                write_checkpoint(state, Path(filename).parent, [Path(filename).name])

        def _local_cumulative_training_time(self) -> float:
            """Seconds of training, whatever is done to the system's clock."""
            return time.monotonic() - self._began + float(self._previous_training_time)

        def _skip(self, samples: list[Any]) -> None:
            @contextmanager
            def surroundings(number: int) -> Iterator[None]:
                seeds = (self.args.seed, self.get_num_updates(), number, self.data_parallel_rank)
                with utils.torch_seed(*seeds):
                    yield

            mine = [self._prepare_sample(sample)[0] for sample in samples if sample]
            probe = self._prepare_sample(None)[0] if self.get_num_updates() else None
            found = diagnose(
                self.get_model(), self.get_loss(), mine, surroundings, True, probe, self._growth.diverged
            )
            named = row_ids_of(self.task.dataset(self.args.train_subset), found.indices)
            self.zero_grad()
            parts: list[Any] = [(found, named)]
            if self.data_parallel_world_size > 1:
                parts = [None] * self.data_parallel_world_size
                distributed.all_gather_object(parts, (found, named), group=self.data_parallel_process_group)
            self._bad.note(merge_findings(parts, self.get_num_updates() + 1, self._epoch))

    return GuardedTrainer
