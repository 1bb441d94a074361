"""Stores of made molecules with labels, and property runs on them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.store.reader import StoreWriter
from moleblend_plugin.host.in_process import train_in_process
from moleblend_plugin.models.blend.config import ModelConfig
from tests.molecules import make_record
from tests.tasks.test_pretrain import arguments

NAN = float("nan")
Table = list[list[float]]
CLASSES = "moleblend_classification"
SMALL = ModelConfig(2, 16, 16, 4, 8, 4)
"""The network of :func:`fit`."""


def write_labelled(
    folder: Path,
    tables: dict[str, Table],
    names: Sequence[str] = ("a", "b"),
    conformers: int = 1,
    descriptors: int = 0,
) -> Path:
    """One store per split; molecules have 3 to 11 atoms and the rows of the table as labels.

    So many descriptors are random numbers, and the first of them missing now and then.
    """
    numbers = np.random.default_rng(1).normal(5, 3, (99, descriptors)).astype(np.float32)
    numbers[::7, :1] = NAN
    scale = DescriptorScale.fit(numbers, [f"d{place}" for place in range(descriptors)], "made").to_plain()
    settings = {"descriptors": scale} if descriptors else {}
    for number, (split, table) in enumerate(tables.items()):
        path = folder / f"{split}.lmdb"
        with StoreWriter(
            path, settings=settings, sources={}, split=split, target_names=tuple(names)
        ) as writer:
            for row, labels in enumerate(table):
                seed = 1000 * number + row
                record = make_record(3 + seed % 9, seed, conformers=conformers, targets=labels)
                writer.add(replace(record, descriptors=numbers[seed % 99]) if descriptors else record)
    return folder


def regression_tables(train: int = 24, valid: int = 7) -> dict[str, Table]:
    """Two columns of other scales; some labels are missing."""
    rng = np.random.default_rng(0)
    tables = {}
    for split, rows in (("train", train), ("valid", valid)):
        table = rng.normal([100.0, -3.0], [10.0, 0.5], (rows, 2))
        table[::4, 1] = NAN
        tables[split] = table.tolist()
    return tables


def class_tables(train: int = 24, valid: int = 8) -> dict[str, Table]:
    """Two columns of classes; some labels are missing."""
    rows = [[float(row % 2), NAN if row % 5 == 0 else float(row % 3 == 0)] for row in range(train)]
    return {"train": rows, "valid": rows[:valid]}


def options(folder: Path, loss: str = "moleblend_regression", **more: object) -> argparse.Namespace:
    """Options of a property run."""
    given: dict[str, object] = {
        "loss": loss,
        "valid_subset": "valid",
        "maximize_best_checkpoint_metric": False,
    }
    return arguments(folder, **(given | asdict(SMALL) | more))


RUN = (
    *("--task", "moleblend_property", "--arch", "moleblend_property_tiny", "--optimizer", "adam"),
    *("--encoder-layers", "2", "--encoder-embed-dim", "16", "--encoder-ffn-embed-dim", "16"),
    *("--encoder-attention-heads", "4", "--gaussian-kernels", "8", "--pair-hidden-dim", "4"),
    *("--lr", "1e-3", "--batch-size", "8", "--batch-size-valid", "3", "--num-workers", "0"),
    *("--adam-eps", "1e-5", "--log-interval", "1"),
)
"""With Adam's eps of 1e-8, a gradient that is zero but for rounding moves its weight as far as any other."""


def fit(
    data: Path, save_dir: Path, *more: object, loss: str = "moleblend_regression"
) -> list[dict[str, float]]:
    """Train a small network in this process; gives what every validation logged."""
    given = [*RUN, "--loss", loss, "--save-dir", save_dir, *more]
    train_in_process([str(word) for word in (data, *given)])
    return validations(save_dir)


def validations(save_dir: Path) -> list[dict[str, float]]:
    """What every validation of a run logged."""
    events = [json.loads(line) for line in (save_dir / "train.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "valid"]
