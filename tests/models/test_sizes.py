"""The number of parameters is what the pages and docstrings say."""

from __future__ import annotations

from pathlib import Path

from moleblend_plugin.models import MoleBlend
from moleblend_plugin.models.blend import config

ROOT = Path(__file__).resolve().parents[2]


def test_the_named_sizes_have_as_many_parameters_as_we_say() -> None:
    counts = [sum(w.numel() for w in MoleBlend(preset).parameters()) for preset in config.PRESETS.values()]
    tiny, small, base = (f"{count / 1e6:.1f}" for count in counts)
    for path, stated in (
        (Path(str(config.__file__)), f"of {tiny}, {small} and {base} M parameters"),
        (ROOT / "docs" / "method.md", f"It has {base} M parameters"),
        (ROOT / "docs" / "scale.md", f"{base} M"),
    ):
        assert stated in path.read_text(encoding="utf-8"), path
