"""Base class of tasks, with the contract of Uni-Core's ``UnicoreTask``."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.contract.dataset import BaseDataset
from moleblend_plugin.trainer.contract.loss import BaseLoss, LoggingOutput, StepOutput
from moleblend_plugin.trainer.contract.model import BaseModel
from moleblend_plugin.trainer.contract.registry import ARCH_MODELS, LOSSES, base_of
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.loop.batches import EpochBatches, numpy_seed


class HostOptimizer(Protocol):
    """What a task may ask of an optimiser, either host's."""

    def backward(self, loss: torch.Tensor) -> None:
        """Backward, with loss scaling where the precision needs it."""

    def step(self) -> object:
        """Change the weights."""


@base_of("task")
class BaseTask:
    """Wires data, model and loss for a trainer.

    Args:
        args: the run's options.
    """

    def __init__(self, args: Namespace, **kwargs: Any) -> None:
        self.args = args
        self.datasets: dict[str, BaseDataset] = {}
        self.dataset_to_epoch_iter: dict[BaseDataset, EpochBatches] = {}

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """Declare the task's options, the positional ``data`` among them."""

    @classmethod
    def setup_task(cls, args: Namespace, **kwargs: Any) -> BaseTask:
        """Build the task; check options and read dictionaries here."""
        return cls(args, **kwargs)

    @staticmethod
    def logging_outputs_can_be_summed(loss: BaseLoss, is_train: bool) -> bool:
        """Whether logging outputs hold only numbers that may be summed over batches and processes."""
        return loss.logging_outputs_can_be_summed(is_train)

    # --- data -------------------------------------------------------------------------------------------

    def has_sharded_data(self, split: str) -> bool:
        """Whether the training data change from epoch to epoch (several paths in ``data``)."""
        return os.pathsep in str(getattr(self.args, "data", ""))

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> None:
        """Set ``self.datasets[split]``; called once per validation split and once for training data."""
        raise NotImplementedError

    def dataset(self, split: str) -> BaseDataset:
        """The loaded data set of a split.

        Raises:
            MoleblendError: the split is not loaded, or is no :class:`BaseDataset`.
        """
        if split not in self.datasets:
            raise MoleblendError(
                f"split {split!r} is not loaded: set self.datasets[{split!r}] in load_dataset"
            )
        dataset = self.datasets[split]
        if not isinstance(dataset, BaseDataset):
            raise MoleblendError(
                f"split {split!r}: {type(dataset).__name__} must extend the host's BaseDataset"
            )
        return dataset

    def can_reuse_epoch_itr(self, dataset: BaseDataset) -> bool:
        """Whether batches keep their items over epochs."""
        return bool(getattr(dataset, "can_reuse_epoch_itr_across_epochs", False))

    def get_batch_iterator(
        self,
        dataset: BaseDataset,
        batch_size: int | None = None,
        ignore_invalid_inputs: bool = False,
        required_batch_size_multiple: int = 1,
        seed: int = 1,
        num_shards: int = 1,
        shard_id: int = 0,
        num_workers: int = 0,
        epoch: int = 1,
        data_buffer_size: int = 0,
        disable_iterator_cache: bool = False,
    ) -> EpochBatches:
        """Batches of a data set, epoch by epoch.

        Args:
            dataset: the data.
            batch_size: items per batch.
            ignore_invalid_inputs: accepted; nothing is invalid here.
            required_batch_size_multiple: the batch size is rounded up to a multiple of this.
            seed: seed of the order of batches.
            num_shards: number of processes that share the batches.
            shard_id: rank of this process.
            num_workers: worker processes that read items.
            epoch: first epoch, from 1.
            data_buffer_size: batches to keep ready (with workers).
            disable_iterator_cache: never reuse the batches of an earlier call.
        """
        reuse = not disable_iterator_cache and self.can_reuse_epoch_itr(dataset)
        if reuse and dataset in self.dataset_to_epoch_iter:
            return self.dataset_to_epoch_iter[dataset]
        dataset.set_epoch(epoch)
        with numpy_seed(seed):  # for data sets that draw their order from NumPy's global generator
            indices = dataset.ordered_indices()
        batches: Sequence[Any] = dataset.batch_by_size(
            indices, batch_size=batch_size, required_batch_size_multiple=required_batch_size_multiple
        )
        iterator = EpochBatches(
            dataset,
            batches,
            seed=seed,
            num_shards=num_shards,
            shard_id=shard_id,
            num_workers=num_workers,
            epoch=epoch,
            buffer_size=data_buffer_size,
            disable_shuffling=self.disable_shuffling(),
        )
        if reuse:
            self.dataset_to_epoch_iter[dataset] = iterator
        return iterator

    def disable_shuffling(self) -> bool:
        """Whether training batches keep the order of the data set's ``ordered_indices``."""
        return False

    # --- model, loss and steps --------------------------------------------------------------------------

    def build_model(self, args: Namespace) -> BaseModel:
        """Build the model of ``--arch``."""
        model: BaseModel = ARCH_MODELS[args.arch].build_model(args, self)
        return model

    def build_loss(self, args: Namespace) -> BaseLoss:
        """Build the loss of ``--loss``."""
        loss: BaseLoss = LOSSES[args.loss].build_loss(args, self)
        return loss

    def train_step(
        self,
        sample: dict[str, Any],
        model: BaseModel,
        loss: BaseLoss,
        optimizer: HostOptimizer,
        update_num: int,
        ignore_grad: bool = False,
    ) -> StepOutput:
        """Forward and backward of one batch.

        Args:
            sample: the batch.
            model: the model, wrapped for several processes.
            loss: the loss.
            optimizer: offers ``backward``.
            update_num: updates done so far.
            ignore_grad: whether the batch only keeps this process in step with the others.

        Returns:
            (loss summed over samples, number of samples, logging output).
        """
        model.train()
        model.set_num_updates(update_num)
        value, sample_size, logging_output = loss(model, sample)
        if ignore_grad:
            value = value * 0
        optimizer.backward(value)
        return value, sample_size, logging_output

    def valid_step(
        self, sample: dict[str, Any], model: BaseModel, loss: BaseLoss, test: bool = False
    ) -> StepOutput:
        """Loss of one batch without gradients: same triple as :meth:`train_step`."""
        model.eval()
        with torch.no_grad():
            output: StepOutput = loss(model, sample)
        return output

    def optimizer_step(self, optimizer: HostOptimizer, model: BaseModel, update_num: int) -> None:
        """Apply the gradients."""
        optimizer.step()

    def begin_epoch(self, epoch: int, model: BaseModel) -> None:
        """Called at the start of every training epoch."""

    def begin_valid_epoch(self, epoch: int, model: BaseModel) -> None:
        """Called at the start of every validation."""

    def reduce_metrics(
        self, logging_outputs: list[LoggingOutput], loss: BaseLoss, split: str = "train"
    ) -> None:
        """Log the metrics of several batches: ``bsz`` and what the loss logs."""
        if any("bsz" in output for output in logging_outputs):
            metrics.log_scalar(
                "bsz", sum(output.get("bsz", 0) for output in logging_outputs), priority=190, round=1
            )
        type(loss).reduce_metrics(logging_outputs, split)

    # --- state in checkpoints ---------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """State to keep in checkpoints."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""
