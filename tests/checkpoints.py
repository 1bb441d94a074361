"""Small checkpoints for tests, trained for an epoch by the trainer itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.geometry.conformers import ConformerConfig
from moleblend_plugin.data.store.reader import StoreWriter
from moleblend_plugin.host.in_process import train_in_process
from moleblend_plugin.inference.estimators.fit import FitConfig, fit_checkpoint
from tests.molecules import make_record

PRETRAIN = (
    *("--task", "moleblend_pretrain", "--loss", "moleblend_pretrain", "--arch", "moleblend_tiny"),
    *("--lr", "1e-3", "--batch-size", "4", "--num-workers", "0", "--max-update", "1"),
    *("--disable-validation", "--no-epoch-checkpoints", "--no-save-optimizer-state"),
)


def property_checkpoint(
    path: Path,
    names: Sequence[str] = ("y",),
    kind: str = "regression",
    mode: str = "2d",
    shift: float = 0.0,
) -> Path:
    """Checkpoint of task moleblend_property on eight made molecules.

    Classification labels alternate 0, 1; those of regression begin at 100 + ``shift``.
    """
    labels = np.arange(8.0) % 2 if kind == "classification" else 100 + shift + 10 * np.arange(8.0)
    records = [make_record(4 + seed, seed, targets=[label] * len(names)) for seed, label in enumerate(labels)]
    conversion = ConversionConfig(None if mode == "2d" else ConformerConfig(), source_coords=mode != "2d")
    config = FitConfig(kind=kind, input_mode=mode, epochs=1, batch_size=4)  # type: ignore[arg-type]
    path.write_bytes(fit_checkpoint(records, [], tuple(names), config, conversion))
    return path


def pretraining_checkpoint(folder: Path) -> Path:
    """Checkpoint of task moleblend_pretrain after one update; its store lies in ``folder``."""
    settings = {"conversion": {"conformers": {"count": 2, "seed": 3}, "source_coords": True}}
    with StoreWriter(folder / "train.lmdb", settings=settings, sources={}) as writer:
        for seed in range(4):
            writer.add(make_record(4 + seed, seed))
    train_in_process([str(folder), *PRETRAIN, "--save-dir", str(folder / "run")])
    return folder / "run" / "checkpoint_last.pt"
