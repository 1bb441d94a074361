"""What the trainer's parts need of the options, typed."""

from __future__ import annotations

import math
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class UpdateConfig:
    """How one update is made.

    Attributes:
        seed: seed of dropout.
        clip_norm: largest gradient norm, 0 for no limit.
        ema_decay: decay of the moving average of weights, 0 or less for none.
        find_unused_parameters: whether some parameters may get no gradient (several processes).
        min_loss_scale: loss scale at which a float16 run gives up.
        compiled: whether torch.compile makes the network's step.
    """

    seed: int
    clip_norm: float
    ema_decay: float
    find_unused_parameters: bool
    min_loss_scale: float
    compiled: bool = False

    @classmethod
    def from_args(cls, args: Namespace) -> UpdateConfig:
        """Read the options."""
        return cls(
            args.seed,
            args.clip_norm,
            args.ema_decay,
            args.find_unused_parameters,
            args.min_loss_scale,
            args.compile,
        )


@dataclass(frozen=True, slots=True)
class ValidConfig:
    """When and how to validate.

    Attributes:
        subsets: splits, the first of which selects the best checkpoint.
        every_epochs: interval in epochs.
        every_updates: interval in updates, 0 for none.
        after_updates: no validation before so many updates.
        disabled: never validate.
        with_ema: validate the moving average.
        max_steps: batches to validate on, ``None`` for all.
        fixed_seed: seed of every validation, ``None`` for one of (seed, update).
        metric: name of the metric of the best checkpoint.
        maximize: whether larger is better.
        patience: validations without a better metric before stopping, 0 or less for no limit.
    """

    subsets: tuple[str, ...]
    every_epochs: int
    every_updates: int
    after_updates: int
    disabled: bool
    with_ema: bool
    max_steps: int | None
    fixed_seed: int | None
    metric: str
    maximize: bool
    patience: int

    @classmethod
    def from_args(cls, args: Namespace) -> ValidConfig:
        """Read the options."""
        return cls(
            subsets=tuple(args.valid_subset.split(",")),
            every_epochs=args.validate_interval,
            every_updates=args.validate_interval_updates,
            after_updates=args.validate_after_updates,
            disabled=args.disable_validation,
            with_ema=args.validate_with_ema,
            max_steps=args.max_valid_steps,
            fixed_seed=args.fixed_validation_seed,
            metric=args.best_checkpoint_metric,
            maximize=args.maximize_best_checkpoint_metric,
            patience=args.patience,
        )

    def is_better(self, new: float, old: float | None) -> bool:
        """Whether ``new`` is strictly better than ``old``; NaN is worse than everything."""
        if math.isnan(new):
            return False
        if old is None or math.isnan(old):
            return True
        return new > old if self.maximize else new < old


@dataclass(frozen=True, slots=True)
class SaveConfig:
    """When and where to save.

    Attributes:
        folder: folder of the checkpoints and the log.
        every_epochs: interval in epochs.
        every_updates: interval in updates, 0 for none.
        disabled: never save.
        epochs: keep a checkpoint of each epoch's end.
        last: keep ``checkpoint_last.pt``.
        optimizer: save the optimiser's state.
        keep_updates: how many checkpoints of update intervals to keep, 0 or less for all.
        keep_epochs: how many checkpoints of epochs to keep, below 0 for all.
        keep_best: how many of the best checkpoints to keep, 0 or less for only the best.
    """

    folder: Path
    every_epochs: int
    every_updates: int
    disabled: bool
    epochs: bool
    last: bool
    optimizer: bool
    keep_updates: int
    keep_epochs: int
    keep_best: int

    @classmethod
    def from_args(cls, args: Namespace) -> SaveConfig:
        """Read the options."""
        return cls(
            folder=Path(args.save_dir),
            every_epochs=args.save_interval,
            every_updates=args.save_interval_updates,
            disabled=args.no_save,
            epochs=not args.no_epoch_checkpoints,
            last=not args.no_last_checkpoints,
            optimizer=not args.no_save_optimizer_state,
            keep_updates=args.keep_interval_updates,
            keep_epochs=args.keep_last_epochs,
            keep_best=args.keep_best_checkpoints,
        )


@dataclass(slots=True)
class Progress:
    """What a run remembers besides weights; kept in checkpoints.

    Attributes:
        best: best metric so far, ``None`` before the first validation.
        valid_loss: metric of the latest validation.
        best_for_patience: metric that later ones must beat.
        runs_without_better: validations since then.
    """

    best: float | None = None
    valid_loss: float | None = None
    best_for_patience: float | None = None
    runs_without_better: int = 0

    def hear(self, metric: float | None, config: ValidConfig) -> bool:
        """Take in the metric of a validation (``None``: there was none).

        Returns:
            Whether patience is at its end.
        """
        self.valid_loss = metric
        if metric is None:
            return False
        if config.is_better(metric, self.best):
            self.best = metric
        if config.is_better(metric, self.best_for_patience):
            self.best_for_patience, self.runs_without_better = metric, 0
        else:
            self.runs_without_better += 1
        return self.out_of_patience(config)

    def out_of_patience(self, config: ValidConfig) -> bool:
        """Whether as many validations as ``--patience`` brought nothing better."""
        return 0 < config.patience <= self.runs_without_better

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "best_for_patience": self.best_for_patience,
            "runs_without_better": self.runs_without_better,
        }
