"""``--arch``: the pretraining network and its presets, registered with the trainer."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from moleblend_plugin.host import BaseModel, register_model, register_model_architecture
from moleblend_plugin.models.config import PRESETS, ModelConfig
from moleblend_plugin.models.moleblend import MoleBlend
from moleblend_plugin.tasks.flags import add_flags, read_flags
from moleblend_plugin.tasks.guards import check_weights


@register_model("moleblend")
class MoleBlendModel(MoleBlend, BaseModel):
    """The blend-then-predict network, built from flags."""

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        """One option per field of :class:`ModelConfig`; absent ones come from the preset."""
        add_flags(parser, ModelConfig, defaults=False)

    @classmethod
    def build_model(cls, args: argparse.Namespace, task: Any) -> MoleBlendModel:  # noqa: ANN401
        """The network of ``args``."""
        return cls(read_flags(args, ModelConfig))

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        strict: bool = True,
        assign: bool = False,
        model_args: argparse.Namespace | None = None,
    ) -> Any:  # noqa: ANN401  torch's own return type is private
        """Load weights; where names may differ (the trainers ask so), at least one must be the model's."""
        if not strict:
            check_weights(self.state_dict(), state_dict)
        more = {"assign": True} if assign else {}  # Uni-Core's base class does not know it
        return super().load_state_dict(state_dict, strict=strict, model_args=model_args, **more)


def _preset(config: ModelConfig) -> Any:  # noqa: ANN401
    def fill(args: argparse.Namespace) -> None:
        for name, value in asdict(config).items():
            setattr(args, name, getattr(args, name, value))

    return fill


for _name, _config in PRESETS.items():
    register_model_architecture("moleblend", _name)(_preset(_config))
