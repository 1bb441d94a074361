"""Checkpoints shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoints import pretraining_checkpoint, property_checkpoint


@pytest.fixture(scope="session")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two targets, 2D and 3D."""
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt", ("y", "z"), "regression", "both")


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pretraining."""
    return pretraining_checkpoint(tmp_path_factory.mktemp("pretrained"))
