"""``--arch moleblend_property_*``: networks over labels and their presets, registered with the trainer."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from moleblend_plugin.host import register_model, register_model_architecture
from moleblend_plugin.models.blend.config import PRESETS, ModelConfig
from moleblend_plugin.models.property.gin import GinConfig, GinProperty
from moleblend_plugin.models.property.network import (
    FRESH,
    HeadConfig,
    PropertyConfig,
    PropertyNet,
    PropertyOutputs,
    encoder_mismatch,
)
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.schema import LabelKind
from moleblend_plugin.tasks.arch import LoadsWeights, preset
from moleblend_plugin.tasks.guards import begins_from_weights, check_encoder
from moleblend_plugin.tasks.property.head_inputs import head_input_size
from moleblend_plugin.tasks.property.task import MoleblendPropertyTask, column_kinds, kind_of

if TYPE_CHECKING:
    from typing import Self

logger = logging.getLogger("moleblend_plugin")


class PropertyModel(PropertyOutputs, LoadsWeights):
    """A network over labels, built from flags. Its constructor takes its config and a ``PropertyConfig``.

    Attributes:
        CONFIGS: the class of its config, and of a head's where it has options.
        fresh_head: the weights to be loaded are another run's, so none of its head is taken.
    """

    fresh_head = False

    @classmethod
    def of(cls, args: argparse.Namespace, kind: LabelKind) -> Self:
        """The network of a run's options for labels of a kind."""
        outputs = args.num_classes if kind == "multiclass" else len(args.target_names)
        kinds = column_kinds(args) if kind == "mixed" else ()
        head = read_flags(args, HeadConfig)
        property = PropertyConfig(outputs, kind, head, head_input_size(args), kinds)
        return cls(read_flags(args, cls.CONFIGS[0]), property)

    @classmethod
    def build_model(cls, args: argparse.Namespace, task: MoleblendPropertyTask) -> Self:
        """The network of ``args`` for the labels of ``task``, with their scale."""
        return cls.of(args, task.kind).fit_to(args, task)

    def fit_to(self, args: argparse.Namespace, task: MoleblendPropertyTask) -> Self:
        """Take over what a run says of its labels."""
        self.fresh_head = begins_from_weights(args)
        if task.kind not in ("classification", "multiclass"):
            is_class = task.labels.is_class
            mean, std = np.where(is_class, 0.0, task.labels.mean), np.where(is_class, 1.0, task.labels.std)
            self.set_target_scale(torch.from_numpy(mean.astype("f4")), torch.from_numpy(std.astype("f4")))
        return self

    def taken_of(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """All of this run's own weights, or the encoder of another run's.

        Raises:
            MoleblendError: the encoders differ.
        """
        taken = _without_head(given) if self.fresh_head else given
        check_encoder(*encoder_mismatch(self.state_dict(), taken, self.ENCODER))
        return taken


@register_model("moleblend_property")
class MoleblendPropertyModel(PropertyNet, PropertyModel):
    """The encoder under a property head."""

    CONFIGS = (ModelConfig, HeadConfig)


@register_model("moleblend_property_gin")
class MoleblendGinModel(GinProperty, PropertyModel):
    """A graph isomorphism network under a property head."""

    CONFIGS = (GinConfig,)


def property_network(args: argparse.Namespace) -> PropertyModel:
    """The network whose sizes a run's options hold most of; runs of older versions lack some."""

    def held(model: type[PropertyModel]) -> float:
        names = [item.name for item in fields(model.CONFIGS[0])]
        return sum(hasattr(args, name) for name in names) / len(names)

    found = max(PropertyModel.__subclasses__(), key=held)
    return found.of(args, kind_of(args.loss))


def _without_head(given: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in given.items() if not name.startswith(FRESH)}
    if len(kept) < len(given):
        logger.info("the checkpoint is of a property run: its encoder is taken, the head begins afresh")
    return kept


for _name, _config in PRESETS.items():
    _property_name = _name.replace("moleblend", "moleblend_property")
    register_model_architecture("moleblend_property", _property_name)(preset(_config, HeadConfig()))


@register_model_architecture("moleblend_property_gin", "moleblend_property_gin")
def _gin(args: argparse.Namespace) -> None:
    preset(GinConfig())(args)
    args.batch_order = getattr(args, "batch_order", None) or "mixed"  # for its batch statistics
