"""Learning rates as functions of the number of updates done: the sequences that Uni-Core gives.

``at(n)`` is the rate of update ``n + 1``. With warm-up, polynomial and inverse square root schedules
therefore give the first update the rate 0, and the fixed schedule does not: Uni-Core's sequence, kept on
purpose, so that a run means the same on both hosts.
"""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace

from moleblend_plugin.errors import MoleblendError


class Schedule:
    """A learning rate that changes with updates and epochs.

    Args:
        args: the run's options.
        total_updates: updates of the whole run, 0 where no end is set.
    """

    def __init__(self, args: Namespace, total_updates: int) -> None:
        self.rates: list[float] = args.lr
        self.lr: float = args.lr[0]
        self.total_updates = total_updates
        self.best: float | None = None

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Declare the schedule's options."""

    def at(self, num_updates: int) -> float:
        """Rate after ``num_updates`` updates."""
        raise NotImplementedError

    def begin_epoch(self, epoch: int) -> None:
        """Hear that a training epoch begins."""

    def end_epoch(self, valid_loss: float | None) -> None:
        """Hear the validation metric of an epoch."""
        if valid_loss is not None:
            self.best = valid_loss if self.best is None else min(self.best, valid_loss)

    def state_dict(self) -> dict[str, float | None]:
        """What a checkpoint keeps; rates follow from the options and the number of updates."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Take over what a checkpoint kept."""
        self.best = state.get("best")


def _warmup_updates(parser: ArgumentParser, default: int) -> None:
    parser.add_argument(
        "--warmup-updates",
        default=default,
        type=int,
        metavar="N",
        help="raise the rate linearly over N updates",
    )


def _warmup_ratio(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--warmup-ratio",
        default=-1.0,
        type=float,
        metavar="R",
        help="warm-up as a share of all updates of the run",
    )


def _anneal(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--force-anneal", "--fa", type=int, metavar="N", help="from epoch N on, shrink the rate every epoch"
    )


def _shrink(parser: ArgumentParser) -> None:
    parser.add_argument("--lr-shrink", default=0.1, type=float, metavar="F", help="factor of a shrink")


class Fixed(Schedule):
    """``--lr`` per epoch, after an optional linear warm-up."""

    def __init__(self, args: Namespace, total_updates: int) -> None:
        super().__init__(args, total_updates)
        self.warmup: int = args.warmup_updates
        self.anneal_epoch: int | None = args.force_anneal
        self.shrink: float = args.lr_shrink

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Declare the schedule's options."""
        _anneal(parser)
        _shrink(parser)
        _warmup_updates(parser, 0)

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

    def __init__(self, args: Namespace, total_updates: int) -> None:
        super().__init__(args, total_updates)
        by_ratio = args.warmup_ratio > 0
        self.warmup = int(args.warmup_ratio * total_updates) if by_ratio else args.warmup_updates
        self.total = total_updates if by_ratio else args.total_num_update
        self.end: float = args.end_learning_rate
        self.power: float = args.power
        self.anneal_epoch: int | None = args.force_anneal
        self._now = 0.0

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Declare the schedule's options."""
        _anneal(parser)
        _warmup_updates(parser, 0)
        _warmup_ratio(parser)
        parser.add_argument(
            "--end-learning-rate", default=0.0, type=float, help="rate at the end of the decay"
        )
        parser.add_argument("--power", default=1.0, type=float, help="exponent of the decay")
        parser.add_argument(
            "--total-num-update",
            default=1000000,
            type=int,
            metavar="N",
            help="updates until the end of the decay",
        )

    def begin_epoch(self, epoch: int) -> None:
        """Take the epoch's rate; from ``--force-anneal`` on, go on from the present one."""
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
        """What a checkpoint keeps: annealing goes on from the epoch's rate."""
        return {"best": self.best, "lr": self.lr}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Take over what a checkpoint kept."""
        super().load_state_dict(state)
        if self.anneal_epoch is not None:
            self.lr = state.get("lr") or self.lr


class Cosine(Schedule):
    """Linear warm-up, then cosine periods from ``--lr`` to ``--min-lr``, each longer and lower."""

    def __init__(self, args: Namespace, total_updates: int) -> None:
        super().__init__(args, total_updates)
        self.warmup = int(args.warmup_ratio * total_updates) if args.warmup_ratio > 0 else args.warmup_updates
        self.floor: float = args.min_lr
        self.start: float = args.min_lr if args.warmup_init_lr < 0 else args.warmup_init_lr
        self.step = (self.lr - self.start) / self.warmup if self.warmup > 0 else 1.0
        self.growth: float = args.t_mult
        self.shrink: float = args.lr_shrink
        self.period: float = args.lr_period_updates
        if self.period <= 0:
            self.period = total_updates - self.warmup
        if self.period <= 0:
            raise MoleblendError(
                f"--lr-scheduler cosine: warm-up of {self.warmup} updates leaves none of {total_updates} for "
                "the decay: give a smaller warm-up, a later end, or --lr-period-updates"
            )

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Declare the schedule's options."""
        _warmup_updates(parser, 0)
        _warmup_ratio(parser)
        parser.add_argument(
            "--warmup-init-lr", default=-1, type=float, help="rate at the start of the warm-up"
        )
        parser.add_argument("--min-lr", default=0.0, type=float, metavar="LR", help="lowest rate")
        parser.add_argument("--max-lr", type=float, metavar="LR", help="accepted; --lr is the highest rate")
        parser.add_argument("--t-mult", default=1, type=float, help="each period is longer by this factor")
        parser.add_argument("--lr-period-updates", default=-1, type=float, help="updates of the first period")
        _shrink(parser)

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

    def __init__(self, args: Namespace, total_updates: int) -> None:
        super().__init__(args, total_updates)
        self.warmup: int = args.warmup_updates
        self.start = max(float(args.warmup_init_lr), 0.0)
        self.step: float = (self.lr - self.start) / self.warmup
        self.factor = float(self.lr * self.warmup**0.5)

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Declare the schedule's options."""
        _warmup_updates(parser, 4000)
        parser.add_argument(
            "--warmup-init-lr", default=-1, type=float, help="rate at the start of the warm-up"
        )

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
