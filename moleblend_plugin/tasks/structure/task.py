"""``--task`` of MMSA-style (reconstructed) pretraining, alone and on top of blend-then-predict."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from moleblend_plugin.data.batches.dataset import StoredMolecules
from moleblend_plugin.data.batches.viewed import BlendedViews, ViewedMolecules
from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.samples.views import ViewConfig, ViewMaker
from moleblend_plugin.data.store.image_file import ImageFile, images_path
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import HOST, BaseDataset, BaseLoss, BaseModel, register_task
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.tasks.base import BatchOrder, StoreTask
from moleblend_plugin.tasks.layer_decay import LayerDecay, check_scaled_steps
from moleblend_plugin.tasks.pretrain.task import MoleblendPretrainTask
from moleblend_plugin.tasks.store_fingerprint import store_fingerprint
from moleblend_plugin.tasks.structure.loss import Step

if TYPE_CHECKING:
    from moleblend_plugin.host import EpochBatches, HostOptimizer, StepOutput


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
    if steps.image_lr_scale < 1:
        check_scaled_steps(args, f"--image-lr-scale {steps.image_lr_scale:g}", host)
    return steps


class _StructureSteps(StoreTask):
    """What both tasks share: views, and steps that all processes make together."""

    BATCH_ORDER: ClassVar[BatchOrder] = "mixed"

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self.views = read_flags(args, ViewConfig)
        self.steps = read_steps(args)
        self.total_updates = 0
        self.slower: LayerDecay | None = None

    def get_batch_iterator(self, dataset: BaseDataset, *args: Any, **kwargs: Any) -> EpochBatches:
        """Batches, epoch by epoch; those of training say how long the run is."""
        batches = super().get_batch_iterator(dataset, *args, **kwargs)
        if dataset is self.datasets.get(self.args.train_subset):
            per_epoch = max(len(batches) // self.args.update_freq[0], 1)
            ends = [self.args.max_update, per_epoch * self.args.max_epoch]
            self.total_updates = int(min(end for end in ends if end > 0))
        return batches

    def train_step(
        self,
        sample: dict[str, Any],
        model: BaseModel,
        loss: BaseLoss,
        optimizer: HostOptimizer,
        update_num: int,
        ignore_grad: bool = False,
    ) -> StepOutput:
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

    def optimizer_step(self, optimizer: HostOptimizer, model: BaseModel, update_num: int) -> None:
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

    CONFIGS = (ViewConfig, StructureTaskConfig)

    def molecules(self, store: MoleculeStore, split: str, training: bool) -> StoredMolecules:
        """Molecules with their views; only the training subset is shuffled, changed and dropped from."""
        make = self.view_maker(store, training)
        return ViewedMolecules(store, make, self.args.seed, shuffle=training, strict=self.strict)


@register_task("moleblend_pretrain_structure_aware")
class BlendedStructureAwareTask(_StructureSteps, MoleblendPretrainTask):
    """Blend-then-predict with structure awareness as one more term."""

    CONFIGS = (BlendConfig, ViewConfig, StructureTaskConfig)

    def molecules(self, store: MoleculeStore, split: str, training: bool) -> BlendedViews:
        """Blended samples with their views."""
        return BlendedViews(
            MoleblendPretrainTask.molecules(self, store, split, training), self.view_maker(store, training)
        )
