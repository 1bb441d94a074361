"""``--task`` of MMSA-style (reconstructed) pretraining, alone and on top of blend-then-predict."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from moleblend_plugin.data.batches.dataset import StoredMolecules
from moleblend_plugin.data.batches.viewed import BlendedViews, ViewedMolecules
from moleblend_plugin.data.samples.views import ViewConfig, ViewMaker
from moleblend_plugin.data.store.images import ImageFile, images_path
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import HOST, register_task
from moleblend_plugin.tasks.base import BatchOrder, StoreTask
from moleblend_plugin.tasks.flags import add_flags, read_flags
from moleblend_plugin.tasks.layer_decay import LayerDecay
from moleblend_plugin.tasks.pretrain.task import MoleblendPretrainTask
from moleblend_plugin.tasks.store_fingerprint import store_fingerprint
from moleblend_plugin.tasks.structure.loss import Step


@dataclass(frozen=True, slots=True)
class StructureTaskConfig:
    """When the comparison between molecules begins, and what is watched.

    Attributes:
        structure_warmup: the unified embedding learns alone for so long: a share of the run below 1, else
            updates.
        structure_ramp: then the weights of hypergraph and memory grow for so long, told in the same way.
        monitor_interval: updates between two looks for collapse; validation always looks.
        image_lr_scale: learning rate of the image encoder over that of the rest (0.1 suits given weights).

    Raises:
        MoleblendError: an impossible value.
    """

    structure_warmup: float = 0.1
    structure_ramp: float = 0.05
    monitor_interval: int = 50
    image_lr_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("structure_warmup", "structure_ramp"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise MoleblendError(f"--{name.replace('_', '-')} {value:g}: give 0 or more")
        if self.monitor_interval < 1:
            raise MoleblendError(f"--monitor-interval {self.monitor_interval}: give 1 or more updates")
        if not 0 < self.image_lr_scale <= 1:
            raise MoleblendError(f"--image-lr-scale {self.image_lr_scale:g}: give 0 < F <= 1 (1 is off)")

    def share(self, update: int, total: int) -> float:
        """What module B's terms count in update number ``update`` (from 0) of ``total``: 0 to 1."""
        warmup, ramp = (
            value if value >= 1 else value * total for value in (self.structure_warmup, self.structure_ramp)
        )
        return min(max((update + 1 - warmup) / max(ramp, 1.0), 0.0), 1.0)


def read_steps(args: argparse.Namespace, host: str = HOST) -> StructureTaskConfig:
    """The options of ``args`` about steps.

    Raises:
        MoleblendError: an impossible value, or one that this trainer cannot keep.
    """
    steps = read_flags(args, StructureTaskConfig)
    half = getattr(args, "fp16", False) or getattr(args, "bf16", False)
    if half and host == "unicore" and steps.image_lr_scale < 1:
        raise MoleblendError(
            f"--image-lr-scale {steps.image_lr_scale:g} with --fp16 or --bf16 is not possible under "
            "Uni-Core, whose optimiser keeps fp32 copies of its own: train in fp32, or with moleblend-train"
        )
    return steps


class _StructureSteps(StoreTask):
    """What both tasks share: views, and steps that all processes make together."""

    BATCH_ORDER: ClassVar[BatchOrder] = "mixed"
    views: ViewConfig
    steps: StructureTaskConfig
    total_updates = 0
    slower: LayerDecay | None = None

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Batches, epoch by epoch; those of training tell how long the run is."""
        batches = super().get_batch_iterator(dataset, *args, **kwargs)
        if dataset is self.datasets.get(self.args.train_subset):
            per_epoch = max(len(batches) // self.args.update_freq[0], 1)
            ends = [self.args.max_update, per_epoch * self.args.max_epoch]
            self.total_updates = int(min(end for end in ends if end > 0))
        return batches

    def train_step(
        self,
        sample: dict[str, Any],
        model: Any,  # noqa: ANN401  either host's, maybe wrapped
        loss: Any,  # noqa: ANN401
        optimizer: Any,  # noqa: ANN401
        update_num: int,
        ignore_grad: bool = False,
    ) -> Any:  # noqa: ANN401
        """Forward and backward of a part of the batch that all processes hold together.

        Raises:
            MoleblendError: out of memory; a batch cannot be cut, since all of it is compared.
        """
        step: Step = {
            "counted": not ignore_grad,
            "share": self.steps.share(update_num, self.total_updates),
            "monitor": update_num % self.steps.monitor_interval == 0 and not ignore_grad,
        }
        try:
            return super().train_step(
                sample | {"step": step}, model, loss, optimizer, update_num, ignore_grad
            )
        except torch.OutOfMemoryError as error:
            raise MoleblendError(
                f"out of memory with --batch-size {self.args.batch_size}: all molecules of a batch are "
                "compared, so it cannot be cut; give a smaller --batch-size (--update-freq adds no negatives)"
            ) from error

    def optimizer_step(self, optimizer: Any, model: Any, update_num: int) -> None:  # noqa: ANN401
        """Apply the gradients, the image encoder's more slowly with ``--image-lr-scale``."""
        if self.slower is None:
            named = model.named_parameters()
            image = [(weight, 1) for name, weight in named if "view_encoders.image." in name]
            scale = self.steps.image_lr_scale
            self.slower = LayerDecay(image if scale < 1 else [], scale)
        with self.slower:
            super().optimizer_step(optimizer, model, update_num)

    def view_maker(self, store: MoleculeStore, training: bool) -> ViewMaker:
        """Makes the views of a split's molecules."""
        images = None
        if "image" in self.views.names:
            images = ImageFile(images_path(store.path), store_fingerprint(store.path), len(store))
        return ViewMaker(self.views, images, self.args.seed, training)


@register_task("moleblend_structure_aware")
class StructureAwareTask(_StructureSteps):
    """MMSA-style (reconstructed) pretraining on a folder of stores, with drawings beside them."""

    def __init__(self, args: argparse.Namespace, views: ViewConfig, steps: StructureTaskConfig) -> None:
        super().__init__(args)
        self.views = views
        self.steps = steps

    @staticmethod
    def add_args(parser: argparse.ArgumentParser) -> None:
        """The data folder, views and steps."""
        StoreTask.add_data_args(parser)
        add_flags(parser, ViewConfig)
        add_flags(parser, StructureTaskConfig)

    @classmethod
    def setup_task(cls, args: argparse.Namespace, **kwargs: Any) -> StructureAwareTask:  # noqa: ANN401
        """Check the flags before anything is built."""
        cls.check(args)
        return cls(args, read_flags(args, ViewConfig), read_steps(args))

    def molecules(self, store: MoleculeStore, split: str, training: bool) -> StoredMolecules:
        """Molecules with their views; only the training subset is shuffled, changed and dropped from."""
        strict = getattr(self.args, "strict_data", False)
        make = self.view_maker(store, training)
        return ViewedMolecules(store, make, self.args.seed, shuffle=training, strict=strict)


@register_task("moleblend_pretrain_structure_aware")
class BlendedStructureAwareTask(_StructureSteps, MoleblendPretrainTask):
    """Blend-then-predict with structure awareness as one more term."""

    @staticmethod
    def add_args(parser: argparse.ArgumentParser) -> None:
        """Those of both tasks."""
        MoleblendPretrainTask.add_args(parser)
        add_flags(parser, ViewConfig)
        add_flags(parser, StructureTaskConfig)

    @classmethod
    def setup_task(cls, args: argparse.Namespace, **kwargs: Any) -> BlendedStructureAwareTask:  # noqa: ANN401
        """Check the flags before anything is built."""
        task = super().setup_task(args, **kwargs)
        assert isinstance(task, cls)
        task.views, task.steps = read_flags(args, ViewConfig), read_steps(args)
        return task

    def molecules(self, store: MoleculeStore, split: str, training: bool) -> BlendedViews:
        """Blended samples with their views."""
        return BlendedViews(
            MoleblendPretrainTask.molecules(self, store, split, training), self.view_maker(store, training)
        )
