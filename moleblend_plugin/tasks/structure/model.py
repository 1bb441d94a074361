"""``--arch`` of MMSA-style (reconstructed) pretraining, alone and on top of blend-then-predict."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from moleblend_plugin.data.samples.views import ViewConfig
from moleblend_plugin.host import BaseTask, register_model, register_model_architecture
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.structure.config import STRUCTURE_PRESETS, StructureConfig
from moleblend_plugin.models.structure.network import BlendedStructureAware, StructureAware
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.tasks.arch import LoadsWeights, preset

if TYPE_CHECKING:
    from typing import Self


class _FromFlags(LoadsWeights):
    """What both models share: options and building."""

    CONFIGS = (ModelConfig, StructureConfig)

    @classmethod
    def build_model(cls, args: argparse.Namespace, task: BaseTask) -> Self:
        """The network of ``args``."""
        config, structure = read_flags(args, ModelConfig), read_flags(args, StructureConfig)
        return cls(config, structure, read_flags(args, ViewConfig).names)


@register_model("moleblend_structure_aware")
class StructureAwareModel(StructureAware, _FromFlags):
    """MMSA-style (reconstructed) pretraining, built from flags."""


@register_model("moleblend_pretrain_structure_aware")
class BlendedStructureAwareModel(BlendedStructureAware, _FromFlags):
    """Blend-then-predict with structure awareness as one more term, built from flags."""


for _name, _configs in STRUCTURE_PRESETS.items():
    for _model in ("moleblend_structure_aware", "moleblend_pretrain_structure_aware"):
        register_model_architecture(_model, f"{_model}_{_name}")(preset(*_configs))
