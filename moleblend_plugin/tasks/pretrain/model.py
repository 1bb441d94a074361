"""``--arch moleblend_*``: the blend-then-predict network and its presets, registered with the trainer."""

from __future__ import annotations

import argparse

from moleblend_plugin.host import BaseTask, register_model, register_model_architecture
from moleblend_plugin.models.blend.config import PRESETS, ModelConfig
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.tasks.arch import LoadsWeights, preset
from moleblend_plugin.tasks.pretrain.molecule_terms import ecfp_bits, learned_names


@register_model("moleblend")
class MoleBlendModel(MoleBlend, LoadsWeights):
    """The blend-then-predict network, built from flags."""

    CONFIGS = (ModelConfig,)

    @classmethod
    def build_model(cls, args: argparse.Namespace, task: BaseTask) -> MoleBlendModel:
        """The network of ``args``."""
        some_whole = getattr(args, "whole_share", 0.0) > 0
        return cls(read_flags(args, ModelConfig), len(learned_names(args)), ecfp_bits(args), some_whole)


for _name, _config in PRESETS.items():
    register_model_architecture("moleblend", _name)(preset(_config))
