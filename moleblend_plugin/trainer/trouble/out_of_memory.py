"""A group of batches in parts, and what to do when there is no memory for one of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.contract.loss import LoggingOutput
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.logging.meters import AverageMeter
from moleblend_plugin.trainer.loop.split_batch import NestedBatch, rows_of

logger = logging.getLogger("moleblend-train")

_MEMORY_WORDS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory")

RETRIES = "oom_retries"
"""Metric: how often a batch was cut because there was no memory for it, over all restarts."""


@dataclass(frozen=True, slots=True)
class BatchPart:
    """A batch of a group, or a piece of one.

    Attributes:
        number: place of the batch in its group.
        piece: place of the piece in its batch.
        batch: the collated batch.
        stand_in: whether it only keeps this process in step with others.
    """

    number: int
    piece: int
    batch: NestedBatch
    stand_in: bool = False


@dataclass(frozen=True, slots=True)
class UpdateOutputs:
    """What the batches of one update gave.

    Attributes:
        outputs: logging outputs.
        size: number of samples.
        bad: number of parts whose loss is not finite.
        retries: how often a batch was cut.
    """

    outputs: list[LoggingOutput]
    size: float | Tensor
    bad: float | Tensor
    retries: int = 0


def more_parts(failed: BatchPart, rows: int, pieces: int) -> int:
    """In how many pieces to try a batch again.

    Args:
        failed: the part that there was no memory for.
        rows: samples of the whole batch.
        pieces: pieces of the batch so far.

    Raises:
        MoleblendError: there is no memory for one sample alone.
    """
    alone = rows_of(failed.batch)
    if alone <= 1:
        index = failed.batch.get("index")
        which = "" if index is None else f" (item {int(index[0])} of the training data)"
        raise MoleblendError(
            f"out of memory on one sample alone{which}: remove it from the data, use a smaller model, "
            "--bf16, or a device with more memory"
        )
    pieces = min(2 * pieces, rows)
    logger.warning(
        f"out of memory on {alone} samples: trying the batch of {rows} again in {pieces} pieces, which gives "
        "the same update; a smaller --batch-size with a larger --update-freq saves the time this costs"
    )
    return pieces


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch says, by class or by words, that there is not enough memory."""
    words = str(error)
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(part in words for part in _MEMORY_WORDS)
    )


def explain_memory(error: RuntimeError) -> MoleblendError | None:
    """One line for memory that ran out where no batch is cut: in validation, or in the optimiser."""
    if not is_out_of_memory(error):
        return None
    return MoleblendError(
        "out of memory outside of training batches (validation, or the optimiser's state): give a "
        "smaller --batch-size-valid or --batch-size, or a smaller model; resume from the last checkpoint"
    )


def count_retries(retries: int) -> None:
    """Log the total, once there is any."""
    meter = metrics.get_meters("default").get(RETRIES)
    if retries or meter is not None:
        before = int(meter.value or 0) if isinstance(meter, AverageMeter) else 0
        metrics.log_scalar(RETRIES, before + retries, weight=0, priority=610)
