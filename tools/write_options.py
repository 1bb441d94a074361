"""Writes docs/options.md from the configs that make the flags: python tools/write_options.py."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.samples.views import ViewConfig
from moleblend_plugin.losses.pretrain import PretrainLossConfig
from moleblend_plugin.losses.property import ClassificationConfig, RegressionConfig
from moleblend_plugin.losses.structure import StructureLossConfig
from moleblend_plugin.models.blend.config import PRESETS, ModelConfig
from moleblend_plugin.models.property.gin import GinConfig
from moleblend_plugin.models.property.network import HeadConfig
from moleblend_plugin.models.structure.config import StructureConfig
from moleblend_plugin.tasks.flags import Config, attribute_help
from moleblend_plugin.tasks.property.task import PropertyTaskConfig
from moleblend_plugin.tasks.structure.loss import AddedWeight
from moleblend_plugin.tasks.structure.task import StructureTaskConfig

TARGET = Path(__file__).resolve().parents[1] / "docs" / "options.md"
AWARE = "MMSA-style (reconstructed)"
INTRO = """\
# Options of the plugin

These come on top of the trainer's own (`moleblend-train --help`), for both hosts. This page is written by
`python tools/write_options.py`.
"""


def show(value: object) -> str:
    """A value as one writes it after its flag."""
    return ",".join(f"{part:g}" for part in value) if isinstance(value, tuple) else str(value)


def table(title: str, config: type[Config]) -> str:
    """One section: a row per field."""
    texts = attribute_help(config)
    rows = [
        f"| `--{field.name.replace('_', '-')}` | {show(field.default)} | {texts[field.name]} |"
        for field in fields(config)
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


def page() -> str:
    """The whole page."""
    return "".join(
        [
            INTRO,
            presets(),
            table("Model: any `--arch`, with the defaults of `moleblend_base`", ModelConfig),
            table("Blending: `--task moleblend_pretrain`", BlendConfig),
            table("Objective: `--loss moleblend_pretrain`", PretrainLossConfig),
            table("Data: `--task moleblend_property`", PropertyTaskConfig),
            table("Head and frozen layers: `--arch moleblend_property_tiny|small|base`", HeadConfig),
            table("GIN over labels: `--arch moleblend_property_gin`", GinConfig),
            table("Objective: `--loss moleblend_classification`", ClassificationConfig),
            table("Objective: `--loss moleblend_regression`", RegressionConfig),
            table(f"Views: `--task moleblend_structure_aware`, {AWARE}", ViewConfig),
            table(f"Steps: `--task moleblend_structure_aware`, {AWARE}", StructureTaskConfig),
            table(
                "Model: `--arch moleblend_structure_aware_base`, beside the Transformer's", StructureConfig
            ),
            table(f"Objective: `--loss moleblend_structure_aware`, {AWARE}", StructureLossConfig),
            table("Both: `--loss moleblend_pretrain_structure_aware`", AddedWeight),
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
    print(f"wrote {TARGET}")
