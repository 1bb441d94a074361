"""Writes docs/options.md from the configs that make the flags: python tools/write_options.py."""

from __future__ import annotations

from dataclasses import MISSING, Field, asdict, fields
from pathlib import Path
from typing import Any

from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.samples.views import ViewConfig
from moleblend_plugin.losses.pretrain import PretrainLossConfig
from moleblend_plugin.losses.property import (
    ClassificationConfig,
    MixedConfig,
    MulticlassConfig,
    RegressionConfig,
)
from moleblend_plugin.losses.structure import StructureLossConfig
from moleblend_plugin.models.blend.config import PRESETS, ModelConfig
from moleblend_plugin.models.property.network import HeadConfig
from moleblend_plugin.models.structure.config import StructureConfig
from moleblend_plugin.runs.flags import Config, attribute_help, flag_of
from moleblend_plugin.tasks.base import StoreConfig
from moleblend_plugin.tasks.property.model import MoleblendPropertyModel, PropertyModel
from moleblend_plugin.tasks.property.task import PropertyTaskConfig
from moleblend_plugin.tasks.structure.loss import AddedWeight
from moleblend_plugin.tasks.structure.task import StructureTaskConfig
from moleblend_plugin.trainer.command.config import GROUPS
from moleblend_plugin.trainer.contract.registry import MODELS
from moleblend_plugin.trainer.loop.optim import AdamConfig
from moleblend_plugin.trainer.loop.schedules import ScheduleConfig

TARGET = Path(__file__).resolve().parents[1] / "docs" / "options.md"
AWARE = "MMSA-style (reconstructed)"
INTRO = """\
# Options of the plugin

First the options of the plugin, for both trainers; then those of the embedded trainer, whose names and
defaults are Uni-Core's. This page is written by `python tools/write_options.py`.
"""


def default_of(item: Field[Any]) -> object:
    """The default of a field; ``None`` for one that depends on the machine."""
    if item.default_factory is MISSING:
        return item.default
    made = item.default_factory()
    return made if isinstance(made, list) else None


def show(value: object) -> str:
    """A value as one writes it after its flag."""
    if value is None:  # what it is then, the text says
        return ""
    return ",".join(f"{part:g}" for part in value) if isinstance(value, tuple | list) else str(value)


def table(title: str, config: type[Config]) -> str:
    """One section: a row per field."""
    texts = attribute_help(config)
    rows = [
        f"| `{flag_of(item.name)}` | {show(default_of(item))} | {texts[item.name]} |"
        for item in fields(config)
        if item.name in texts  # others are accepted without effect
    ]
    return "\n".join([f"\n## {title}\n", "| flag | default | meaning |", "|---|---|---|", *rows, ""])


def presets() -> str:
    """What each ``--arch`` changes."""
    base = asdict(ModelConfig())
    changed = sorted({key for config in PRESETS.values() for key in base if asdict(config)[key] != base[key]})
    rows = [
        f"| `{key.replace('_', '-')}` | " + " | ".join(show(asdict(c)[key]) for c in PRESETS.values()) + " |"
        for key in base
        if key in changed
    ]
    head = "| | " + " | ".join(f"`{name}`" for name in PRESETS) + " |"
    return "\n".join(
        [
            "\n## Sizes: `--arch` (`moleblend_property_tiny` and so on have the same)\n",
            head,
            "|---" * (len(PRESETS) + 1) + "|",
            *rows,
            "",
        ]
    )


def networks() -> list[str]:
    """A section for every network over labels but the Transformer, whose sizes stand above."""
    return [
        table(f"{(model.__doc__ or '').rstrip('.')}: `--arch {name}`", model.CONFIGS[0])
        for name, model in MODELS.items()
        if issubclass(model, PropertyModel) and model is not MoleblendPropertyModel
    ]


def page() -> str:
    """The whole page."""
    return "".join(
        [
            INTRO,
            presets(),
            table("Model: any `--arch`, with the defaults of `moleblend_base`", ModelConfig),
            table("Stores: any `--task`", StoreConfig),
            table("Blending: `--task moleblend_pretrain`", BlendConfig),
            table("Objective: `--loss moleblend_pretrain`", PretrainLossConfig),
            table("Data: `--task moleblend_property`", PropertyTaskConfig),
            table("Head and frozen layers: `--arch moleblend_property_tiny|small|base`", HeadConfig),
            *networks(),
            table("Objective: `--loss moleblend_classification`", ClassificationConfig),
            table("Objective: `--loss moleblend_multiclass`, beside the flag above", MulticlassConfig),
            table("Objective: `--loss moleblend_regression`", RegressionConfig),
            table("Objective: `--loss moleblend_mixed`, beside the flags of both", MixedConfig),
            table(f"Views: `--task moleblend_structure_aware`, {AWARE}", ViewConfig),
            table(f"Steps: `--task moleblend_structure_aware`, {AWARE}", StructureTaskConfig),
            table(
                "Model: `--arch moleblend_structure_aware_base`, beside the Transformer's", StructureConfig
            ),
            table(f"Objective: `--loss moleblend_structure_aware`, {AWARE}", StructureLossConfig),
            table("Both: `--loss moleblend_pretrain_structure_aware`", AddedWeight),
            *(table(f"Trainer: {title}", config) for title, config in GROUPS.items()),
            table("Trainer: `--optimizer adam`", AdamConfig),
            table("Trainer: `--lr-scheduler`, each with some of them", ScheduleConfig),
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
    print(f"wrote {TARGET}")
