"""Validation of every subset, each with metrics of its own."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from itertools import islice, zip_longest

import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.contract.loss import LoggingOutput
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.logging.meters import Number
from moleblend_plugin.trainer.loop.seeding import torch_seed
from moleblend_plugin.trainer.loop.session import Session, valid_batches
from moleblend_plugin.trainer.loop.split_batch import map_tensors
from moleblend_plugin.trainer.trouble.signals import STOP

logger = logging.getLogger("moleblend-train")


def validate(session: Session, epoch: int) -> float:
    """Validate all subsets and report them.

    Args:
        session: the run.
        epoch: number of the present epoch.

    Returns:
        The metric of ``--best-checkpoint-metric`` on the first subset.

    Raises:
        MoleblendError: the first subset logs no such metric.
    """
    config, trainer = session.valid, session.trainer
    general, subsets = trainer.general, session.data.valid_subsets
    metric, fixed = config.best_checkpoint_metric, config.fixed_validation_seed
    # Should a model draw random numbers in evaluation, they follow from the update: resuming is exact.
    seeds = (general.seed, trainer.num_updates) if fixed is None else (fixed,)
    chosen: float | None = None
    with ExitStack() as stack:
        stack.enter_context(torch_seed(*seeds))
        if general.validate_with_ema and trainer.ema is not None:
            stack.enter_context(trainer.ema.applied())
        session.task.begin_valid_epoch(epoch, trainer.inner_model)
        for subset in subsets:
            meters = _evaluate(session, subset)
            shown, exact = meters.get_smoothed_values(), meters.get_smoothed_values(rounded=False)
            if chosen is None:
                chosen = _select(exact, metric, subset)
                before = session.early_stopping.best
                best = chosen if config.is_better(chosen, before) else before
            extra: dict[str, Number | None] = {"num_updates": trainer.num_updates}
            if subset == subsets[0]:
                extra[f"best_{metric}"] = best
            session.report.summary(subset, epoch, shown | extra, exact | extra, subset)
    assert chosen is not None
    if not math.isfinite(chosen):
        logger.warning(
            f"validation: {metric} is not finite ({chosen}): the model may have diverged (lower --lr "
            "or set --clip-norm); it is not a best checkpoint"
        )
    return chosen


def _select(values: dict[str, Number | None], metric: str, subset: str) -> float:
    value = values.get(metric)
    if value is None:
        known = ", ".join(sorted(key for key in values if key != "bsz"))
        raise MoleblendError(
            f"--best-checkpoint-metric {metric!r} is not logged on subset {subset!r}: choose from {known}"
        )
    return float(value)


def _evaluate(session: Session, subset: str) -> metrics.MetersDict:
    logger.info(f'begin validation on "{subset}" subset')
    trainer, task = session.trainer, session.task
    batches = valid_batches(task, session.args, session.engine, subset)
    outputs: list[LoggingOutput] = []
    trainer.model.eval()
    trainer.loss.eval()
    with torch.no_grad():
        for sample in islice(
            batches.iterate(shuffle=False, set_dataset_epoch=False), session.valid.max_valid_steps
        ):
            if not sample and session.engine.sharded:  # others gather weights from this process
                task.valid_step(session.engine.to_device(batches.any_batch()), trainer.model, trainer.loss)
            if sample:
                batch = session.engine.to_device(sample)
                _, _, output = task.valid_step(batch, trainer.model, trainer.loss)
                outputs.append(output)
            STOP.check(session.engine)
    with metrics.aggregate(new_root=True) as meters:
        task.reduce_metrics(_join(session, outputs), trainer.loss, subset)
    return meters


def _join(session: Session, outputs: list[LoggingOutput]) -> list[LoggingOutput]:
    """Logging outputs of all processes, in the order of the batches."""
    if session.engine.world_size == 1:
        return outputs
    parts: list[list[LoggingOutput]] = session.engine.gather(map_tensors(outputs, torch.Tensor.cpu))
    rounds = zip_longest(*parts)
    return [output for one in rounds for output in one if output is not None]
