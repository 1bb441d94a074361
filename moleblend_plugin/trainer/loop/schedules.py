"""Learning rates as functions of the number of updates done: the sequences that Uni-Core gives.

``at(n)`` is the rate of update ``n + 1``. With warm-up, polynomial and inverse square root schedules
therefore give the first update the rate 0, and the fixed schedule does not: Uni-Core's sequence, kept on
purpose, so that a run means the same on both hosts.
"""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Any, ClassVar

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.flags import add_flags, option, read_flags


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """Options of the schedules; each takes those that it names.

    Attributes:
        force_anneal: from epoch N on, shrink the rate every epoch
        lr_shrink: factor of a shrink
        warmup_updates: raise the rate linearly over N updates
        warmup_ratio: warm-up as a share of all updates of the run
        warmup_init_lr: rate at the start of the warm-up
        end_learning_rate: rate at the end of the decay
        power: exponent of the decay
        total_num_update: updates until the end of the decay
        min_lr: lowest rate
        max_lr: accepted; --lr is the highest rate
        t_mult: each period is longer by this factor
        lr_period_updates: updates of the first period

    Raises:
        MoleblendError: an impossible value.
    """

    force_anneal: int | None = option(None, "--fa", metavar="N")
    lr_shrink: float = option(0.1, metavar="F")
    warmup_updates: int = option(0, least=0, metavar="N")
    warmup_ratio: float = option(-1.0, metavar="R")
    warmup_init_lr: float = -1
    end_learning_rate: float = 0.0
    power: float = 1.0
    total_num_update: int = option(1000000, metavar="N")
    min_lr: float = option(0.0, metavar="LR")
    max_lr: float | None = option(None, metavar="LR")
    t_mult: float = 1
    lr_period_updates: float = -1

    def __post_init__(self) -> None:
        if self.warmup_ratio >= 1:
            raise MoleblendError(
                f"--warmup-ratio {self.warmup_ratio} must be below 1: it is a share of all updates"
            )


class Schedule:
    """A learning rate that changes with updates and epochs.

    Args:
        args: the run's options.
        total_updates: updates of the whole run, 0 where no end is set.
    """

    OPTIONS: ClassVar[tuple[str, ...]]
    """Fields of :class:`ScheduleConfig` that are its flags."""
    DEFAULTS: ClassVar[dict[str, Any]] = {}
    """Where its defaults differ from those of the fields."""

    def __init__(self, args: Namespace, total_updates: int) -> None:
        self.options = read_flags(args, ScheduleConfig)
        self.rates: list[float] = args.lr
        self.lr: float = args.lr[0]
        self.total_updates = total_updates
        self.best: float | None = None

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """Declare the schedule's options."""
        add_flags(parser, ScheduleConfig, only=cls.OPTIONS)
        parser.set_defaults(**cls.DEFAULTS)

    def _warmup_updates(self) -> int:
        ratio = self.options.warmup_ratio
        return int(ratio * self.total_updates) if ratio > 0 else self.options.warmup_updates

    def at(self, num_updates: int) -> float:
        """Rate after ``num_updates`` updates."""
        raise NotImplementedError

    def begin_epoch(self, epoch: int) -> None:
        """Called at the start of every training epoch."""

    def end_epoch(self, valid_loss: float | None) -> None:
        """Called with the validation metric of an epoch."""
        if valid_loss is not None:
            self.best = valid_loss if self.best is None else min(self.best, valid_loss)

    def state_dict(self) -> dict[str, float | None]:
        """What a checkpoint keeps; rates follow from the options and the number of updates."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Take over what a checkpoint kept."""
        self.best = state.get("best")


class Fixed(Schedule):
    """``--lr`` per epoch, after an optional linear warm-up."""

    OPTIONS = ("force_anneal", "lr_shrink", "warmup_updates")

    def __init__(self, args: Namespace, total_updates: int) -> None:
        super().__init__(args, total_updates)
        self.warmup = self.options.warmup_updates
        self.anneal_epoch = self.options.force_anneal
        self.shrink = self.options.lr_shrink

    def begin_epoch(self, epoch: int) -> None:
        """Take the epoch's rate."""
        if self.anneal_epoch is None or epoch < self.anneal_epoch:
            self.lr = self.rates[min(epoch - 1, len(self.rates) - 1)]
        else:
            self.lr = self.rates[-1] * self.shrink ** (epoch + 1 - self.anneal_epoch)

    def at(self, num_updates: int) -> float:
        """Rate after ``num_updates`` updates."""
        if num_updates < self.warmup:
            return (num_updates + 1) / float(self.warmup) * self.lr
        return self.lr

    def state_dict(self) -> dict[str, float | None]:
        """What a checkpoint keeps."""
        return {"lr": self.lr}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Take over what a checkpoint kept."""
        self.lr = state.get("lr") or self.lr


class PolynomialDecay(Schedule):
    """Linear warm-up from 0, then a polynomial down to ``--end-learning-rate``."""

    OPTIONS = (
        *("force_anneal", "warmup_updates", "warmup_ratio"),
        *("end_learning_rate", "power", "total_num_update"),
    )

    def __init__(self, args: Namespace, total_updates: int) -> None:
        super().__init__(args, total_updates)
        self.warmup = self._warmup_updates()
        self.total = total_updates if self.options.warmup_ratio > 0 else self.options.total_num_update
        self.end = self.options.end_learning_rate
        self.power = self.options.power
        self.anneal_epoch = self.options.force_anneal
        self._now = 0.0

    def begin_epoch(self, epoch: int) -> None:
        """Take the epoch's rate; from ``--force-anneal`` on, continue from the present one."""
        if self.anneal_epoch is None or epoch < self.anneal_epoch:
            self.lr = self.rates[min(epoch, len(self.rates) - 1)]
        else:
            self.lr = self._now

    def at(self, num_updates: int) -> float:
        """Rate after ``num_updates`` updates."""
        if self.warmup > 0 and num_updates <= self.warmup:
            self._now = num_updates / float(self.warmup) * self.lr
        elif num_updates >= self.total:
            self._now = self.end
        else:
            left = 1 - (num_updates - self.warmup) / (self.total - self.warmup)
            self._now = (self.lr - self.end) * left**self.power + self.end
        return self._now

    def state_dict(self) -> dict[str, float | None]:
        """What a checkpoint keeps: annealing continues from the epoch's rate."""
        return {"best": self.best, "lr": self.lr}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Take over what a checkpoint kept."""
        super().load_state_dict(state)
        if self.anneal_epoch is not None:
            self.lr = state.get("lr") or self.lr


class Cosine(Schedule):
    """Linear warm-up, then cosine periods from ``--lr`` to ``--min-lr``, each longer and lower."""

    OPTIONS = (
        *("warmup_updates", "warmup_ratio", "warmup_init_lr", "min_lr"),
        *("max_lr", "t_mult", "lr_period_updates", "lr_shrink"),
    )

    def __init__(self, args: Namespace, total_updates: int) -> None:
        super().__init__(args, total_updates)
        options = self.options
        self.warmup = self._warmup_updates()
        self.floor = options.min_lr
        self.start = options.min_lr if options.warmup_init_lr < 0 else options.warmup_init_lr
        self.step = (self.lr - self.start) / self.warmup if self.warmup > 0 else 1.0
        self.growth = options.t_mult
        self.shrink = options.lr_shrink
        self.period = options.lr_period_updates
        if self.period <= 0:
            self.period = total_updates - self.warmup
        if self.period <= 0:
            raise MoleblendError(
                f"--lr-scheduler cosine: warm-up of {self.warmup} updates leaves none of {total_updates} for "
                "the decay: give a smaller warm-up, a later end, or --lr-period-updates"
            )

    def at(self, num_updates: int) -> float:
        """Rate after ``num_updates`` updates."""
        if num_updates < self.warmup:
            return self.start + num_updates * self.step
        current, period, number = float(num_updates - self.warmup), self.period, 0
        if self.growth != 1:
            number = math.floor(math.log(1 - current / self.period * (1 - self.growth), self.growth))
            period = self.growth**number * self.period
            current -= (1 - self.growth**number) / (1 - self.growth) * self.period
            share = current / period
        else:
            share = min(1.0, current / period)
        low, high = self.floor * self.shrink**number, self.lr * self.shrink**number
        return low + 0.5 * (high - low) * (1 + math.cos(math.pi * share))


class InverseSquareRoot(Schedule):
    """Linear warm-up, then down with the inverse square root of the number of updates."""

    OPTIONS = ("warmup_updates", "warmup_init_lr")
    DEFAULTS = {"warmup_updates": 4000}

    def __init__(self, args: Namespace, total_updates: int) -> None:
        super().__init__(args, total_updates)
        self.warmup = self.options.warmup_updates
        self.start = max(float(self.options.warmup_init_lr), 0.0)
        self.step = (self.lr - self.start) / self.warmup
        self.factor = float(self.lr * self.warmup**0.5)

    def at(self, num_updates: int) -> float:
        """Rate after ``num_updates`` updates."""
        if num_updates < self.warmup:
            return self.start + num_updates * self.step
        return float(self.factor * num_updates**-0.5)


SCHEDULES: dict[str, type[Schedule]] = {
    "fixed": Fixed,
    "polynomial_decay": PolynomialDecay,
    "cosine": Cosine,
    "inverse_sqrt": InverseSquareRoot,
}
"""What ``--lr-scheduler`` can choose."""


def check_schedule(kind: str, lr: list[float], options: ScheduleConfig) -> None:
    """Refuse options that a schedule cannot follow.

    Raises:
        MoleblendError: names flag, value and remedy.
    """
    warmup, total = options.warmup_updates, options.total_num_update
    if kind == "polynomial_decay" and options.warmup_ratio <= 0 and total < warmup:
        raise MoleblendError(
            f"--total-num-update {total} is below --warmup-updates {warmup}: "
            "give more updates or a shorter warm-up"
        )
    if kind == "inverse_sqrt" and warmup < 1:
        raise MoleblendError(
            "--warmup-updates 0 is impossible with --lr-scheduler inverse_sqrt: give 1 or more"
        )
    if kind in ("inverse_sqrt", "cosine") and len(lr) > 1:
        raise MoleblendError(f"--lr {lr}: --lr-scheduler {kind} takes one rate; use fixed for one per epoch")
    if kind == "cosine" and options.min_lr >= lr[0]:
        raise MoleblendError(f"--min-lr {options.min_lr} must be below --lr {lr[0]}: give a lower one")
    if kind == "cosine" and options.t_mult < 1:
        raise MoleblendError(f"--t-mult {options.t_mult} is too small: periods grow by 1 or more")
