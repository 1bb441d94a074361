"""The number of parameters is what the pages and docstrings say."""

from __future__ import annotations

import re
from pathlib import Path

from moleblend_plugin.models import MoleBlend
from moleblend_plugin.models.blend import config

ROOT = Path(__file__).resolve().parents[2]


def test_the_published_size_has_as_many_parameters_as_we_say() -> None:
    model = MoleBlend(config.PRESETS["moleblend_base"])
    millions = f"{sum(weights.numel() for weights in model.parameters()) / 1e6:.1f} M parameters"
    assert millions == "45.0 M parameters"
    for path in (Path(str(config.__file__)), ROOT / "docs" / "method.md"):
        stated = re.findall(r"\b\d+\.\d M parameters", path.read_text(encoding="utf-8"))
        assert stated == [millions], path
