"""``--task moleblend_pretrain``: stored molecules -> blended batches."""

from __future__ import annotations

import argparse
from typing import ClassVar

from moleblend_plugin.data.batches.dataset import BlendedMolecules
from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.host import register_task
from moleblend_plugin.runs.flags import Config, read_flags
from moleblend_plugin.tasks.base import StoreTask


@register_task("moleblend_pretrain")
class MoleblendPretrainTask(StoreTask):
    """Blend-then-predict pretraining on a folder of stores (``train.lmdb``, ``valid.lmdb``, ...)."""

    CONFIGS: ClassVar[tuple[type[Config], ...]] = (BlendConfig,)

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self.blend = read_flags(args, BlendConfig)

    def molecules(self, store: MoleculeStore, split: str, training: bool) -> BlendedMolecules:
        """Blended samples; only those of the training subset are shuffled."""
        return BlendedMolecules(store, self.blend, self.args.seed, shuffle=training, strict=self.strict)
