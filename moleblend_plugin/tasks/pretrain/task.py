"""``--task moleblend_pretrain``: stored molecules -> blended batches."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, ClassVar

from moleblend_plugin.data.batches.dataset import BlendedMolecules
from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.host import register_task
from moleblend_plugin.runs.flags import Config, read_flags
from moleblend_plugin.tasks.base import StoreTask, open_split
from moleblend_plugin.tasks.pretrain.molecule_terms import (
    check_molecule_terms,
    choose_molecule_terms,
    ecfp_bits,
    scale_of,
)

if TYPE_CHECKING:
    from typing import Self


@register_task("moleblend_pretrain")
class MoleblendPretrainTask(StoreTask):
    """Blend-then-predict pretraining on a folder of stores (``train.lmdb``, ``valid.lmdb``, ...)."""

    CONFIGS: ClassVar[tuple[type[Config], ...]] = (BlendConfig,)

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self.blend = read_flags(args, BlendConfig)

    @classmethod
    def setup_task(cls, args: argparse.Namespace, **kwargs: Any) -> Self:
        """Check the flags; sets ``args.descriptors`` and ``args.ecfp``, what a store says of them."""
        cls.check(args)
        choose_molecule_terms(args, open_split(args.data, args.train_subset))
        return cls(args)

    def molecules(self, store: MoleculeStore, split: str, training: bool) -> BlendedMolecules:
        """Blended samples; only those of the training subset are shuffled."""
        check_molecule_terms(self.args, store)
        return BlendedMolecules(
            store,
            self.blend,
            self.args.seed,
            shuffle=training,
            strict=self.strict,
            scale=scale_of(self.args),
            ecfp_bits=ecfp_bits(self.args),
        )
