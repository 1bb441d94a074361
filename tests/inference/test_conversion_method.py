"""The method of conformers travels from the training data to predictions."""

from __future__ import annotations

from argparse import Namespace
from typing import Final

import pytest

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.geometry.conformers import ConformerConfig
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.conversion import conversion_for, new_conversion, read_conversion

FAST: Final = ConformerConfig.by_method("fast")


def test_stores_and_checkpoints_keep_the_method_and_those_without_are_full() -> None:
    full, fast = ConversionConfig(ConformerConfig()).settings(), ConversionConfig(FAST).settings()
    assert "method" not in full["conformers"]  # the fingerprints of stores of before stay
    assert fast["conformers"] == full["conformers"] | {"method": "fast", "relax_steps": 100}
    assert read_conversion(full).conformers == ConformerConfig()
    assert read_conversion(fast).conformers == FAST
    args = Namespace(conversion=fast)
    conversion = conversion_for(args, "both", 3)
    assert conversion.config.conformers == ConformerConfig.by_method("fast", count=3)
    assert "3 conformers by KDG+MMFF94" in conversion.note


def test_estimators_convert_by_it() -> None:
    assert new_conversion("2d", 5, "fast") == ConversionConfig(None, source_coords=False)
    assert new_conversion("both", "none", "fast") == ConversionConfig(None)
    assert new_conversion("both", 2, "fast").conformers == ConformerConfig.by_method("fast", count=2)
    assert new_conversion("both") == ConversionConfig(ConformerConfig())
    with pytest.raises(MoleblendError, match="choose from full, fast"):
        new_conversion("both", "none", "slow")
