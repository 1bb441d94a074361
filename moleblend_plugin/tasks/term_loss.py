"""Objectives of named terms in the trainer's form: sums over molecules, sample size, summable numbers.

The loss of a batch is its mean objective times its molecules, so an update averages over molecules however
they fall into batches, micro-batches and processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from moleblend_plugin.host import BaseLoss, log_scalar
from moleblend_plugin.losses.term_table import TOTAL, Term, TermSpec, curves_of
from moleblend_plugin.runs.flags import WithFlags
from moleblend_plugin.schema import Curve


class TermLoss(WithFlags, BaseLoss):
    """What these objectives share.

    Attributes:
        terms: the table of what they may log.
        absent: names of terms that this run's model has no head for.
    """

    terms: ClassVar[tuple[TermSpec, ...]]
    absent: frozenset[str] = frozenset()

    def curves(self) -> list[Curve]:
        """What validation logs and a checkpoint can be the best by."""
        return [TOTAL, *curves_of(row for row in self.terms if row.name not in self.absent)]

    def logged_names(self) -> list[str]:
        """Names that validation logs, for ``--best-checkpoint-metric``."""
        return [curve.key for curve in self.curves()]

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]], split: str = "train") -> None:
        """Average losses over molecules and scores over their targets."""
        log_mean("loss", logging_outputs, TOTAL.key, "sample_size")
        for row in cls.terms:
            if not any(row.loss.key in output for output in logging_outputs):
                continue
            log_mean(row.loss.key, logging_outputs, row.loss.key, "sample_size")
            if row.score and summed(logging_outputs, f"{row.name}_counted"):
                log_mean(row.score.key, logging_outputs, f"{row.name}_score", f"{row.name}_counted")
            if any(f"{row.name}_gnorm" in output for output in logging_outputs):
                log_mean(f"{row.name}_gnorm", logging_outputs, f"{row.name}_gnorm", "sample_size", digits=3)

    @staticmethod
    def logging_outputs_can_be_summed(is_train: bool) -> bool:
        """Every logged value is a number, with the same keys in every batch of a run."""
        return True


def batch_outputs(mean: Tensor, molecules: int) -> tuple[Tensor, int, dict[str, Any]]:
    """What ``forward`` returns of a mean objective: its sum over the molecules, their number, what to log."""
    loss = mean * molecules
    return loss, molecules, {"loss": loss.detach(), "bsz": molecules, "sample_size": molecules}


def term_outputs(terms: Mapping[str, Term], molecules: int) -> dict[str, Any]:
    """Sums of the terms of a batch, as :meth:`TermLoss.reduce_metrics` reads them."""
    logged: dict[str, Any] = {}
    for name, term in terms.items():
        logged[f"{name}_loss"] = term.loss.detach() * molecules
        logged |= {f"{name}_score": term.score.detach(), f"{name}_counted": term.counted}
    return logged


def summed(logging_outputs: Sequence[Mapping[str, Any]], key: str) -> float:
    """A number of several batches."""
    return float(sum(output.get(key, 0) for output in logging_outputs))


def log_mean(
    name: str, logging_outputs: Sequence[Mapping[str, Any]], total: str, counted: str, digits: int = 4
) -> None:
    """Log ``total`` over ``counted``, each summed over the batches."""
    count = summed(logging_outputs, counted)
    log_scalar(name, summed(logging_outputs, total) / max(count, 1), count, round=digits)
