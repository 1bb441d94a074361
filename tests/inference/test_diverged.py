"""Checkpoints of diverged runs: whatever they would give is NaN, so no door takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.inference.embedder import Embedder
from moleblend_plugin.inference.predictor import Predictor
from tests.checkpoints import property_checkpoint


def test_a_weight_that_is_not_finite_is_named(tmp_path: Path) -> None:
    path = property_checkpoint(tmp_path / "good.pt")
    Predictor.from_checkpoint(path, "cpu")
    state = read_checkpoint(path, required=("model",))
    name = next(name for name in state["model"] if name.startswith("encoder.layers"))
    state["model"][name].view(-1)[0] = torch.nan
    bad = tmp_path / "bad.pt"
    torch.save(state, bad)
    for door in (Predictor, Embedder):
        with pytest.raises(
            MoleblendError, match=f"bad.pt' is of a run that diverged: its weight {name} is not"
        ):
            door.from_checkpoint(bad, "cpu")
