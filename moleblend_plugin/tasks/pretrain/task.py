"""``--task moleblend_pretrain``: stored molecules -> blended batches."""

from __future__ import annotations

import argparse
from typing import Any

from moleblend_plugin.data.batches.dataset import BlendedMolecules
from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.host import register_task
from moleblend_plugin.runs.flags import add_flags, read_flags
from moleblend_plugin.tasks.base import StoreTask


@register_task("moleblend_pretrain")
class MoleblendPretrainTask(StoreTask):
    """Blend-then-predict pretraining on a folder of stores (``train.lmdb``, ``valid.lmdb``, ...)."""

    def __init__(self, args: argparse.Namespace, blend: BlendConfig) -> None:
        super().__init__(args)
        self.blend = blend

    @staticmethod
    def add_args(parser: argparse.ArgumentParser) -> None:
        """The data folder, and one option per field of :class:`BlendConfig`."""
        StoreTask.add_data_args(parser)
        add_flags(parser, BlendConfig)

    @classmethod
    def setup_task(cls, args: argparse.Namespace, **kwargs: Any) -> MoleblendPretrainTask:
        """Check the flags before anything is built."""
        cls.check(args)
        return cls(args, read_flags(args, BlendConfig))

    def molecules(self, store: MoleculeStore, split: str, training: bool) -> BlendedMolecules:
        """Blended samples; only those of the training subset are shuffled."""
        strict = getattr(self.args, "strict_data", False)
        return BlendedMolecules(store, self.blend, self.args.seed, shuffle=training, strict=strict)
