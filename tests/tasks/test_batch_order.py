"""``--batch-order``: which tasks mix sizes in a batch, and that the flag wins."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from moleblend_plugin.runs import detect
from moleblend_plugin.tasks.property.task import MoleblendPropertyTask
from moleblend_plugin.tasks.structure.task import BlendedStructureAwareTask, StructureAwareTask
from moleblend_plugin.trainer.command.options import parse_options
from tests.labelled import options, regression_tables, write_labelled

PROPERTY = (
    *("--task", "moleblend_property", "--loss", "moleblend_regression"),
    *("--batch-size", "8", "--max-epoch", "1"),
)


def by_size(folder: Path, split: str, args: Namespace) -> bool:
    task = MoleblendPropertyTask.setup_task(args)
    task.load_dataset(split)
    return bool(task.dataset(split).molecules.by_size)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_labels_are_learned_from_batches_of_like_size_unless_told(tmp_path: Path, split: str) -> None:
    write_labelled(tmp_path, regression_tables())
    assert by_size(tmp_path, split, options(tmp_path))
    assert not by_size(tmp_path, split, options(tmp_path, batch_order="mixed"))


def test_what_compares_or_averages_over_a_batch_mixes_sizes(tmp_path: Path) -> None:
    assert StructureAwareTask.BATCH_ORDER == BlendedStructureAwareTask.BATCH_ORDER == "mixed"
    detect.take_charge("embedded")
    try:
        gin = ("--arch", "moleblend_property_gin")
        assert parse_options([str(tmp_path), *PROPERTY, *gin]).batch_order == "mixed"
        assert parse_options([str(tmp_path), *PROPERTY, *gin, "--batch-order", "size"]).batch_order == "size"
        plain = parse_options([str(tmp_path), *PROPERTY, "--arch", "moleblend_property_tiny"])
        assert plain.batch_order is None
    finally:
        detect.take_charge(None)
