"""run.toml out and in again, and options that contradict each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.defaults import with_defaults
from moleblend_plugin.fitting.options import (
    FEATURIZERS,
    READOUTS,
    FitOptions,
    read_options,
    write_run_file,
)
from moleblend_plugin.models.blend.heads import Readout
from moleblend_plugin.models.property.network import MoleculeFeaturizers


def test_what_is_written_is_read(tmp_path: Path) -> None:
    options = FitOptions(
        data='a "b" \\ c.csv', targets=("logS [mol/L]", "ü, ö"), test_size=0.2, epochs=7, positive=("ja",)
    )
    write_run_file(tmp_path / "run.toml", options, {"sha256": {"a b.csv": "00ff"}, "molecules": 12})
    assert read_options(tmp_path / "run.toml") == options


def test_a_file_of_a_few_lines_is_enough(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('targets = "logS"\nepochs = 3\n')
    assert read_options(tmp_path / "my.toml") == FitOptions(targets=("logS",), epochs=3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", "'epoch' is no option"),
        ("epochs = 'x'", "epochs = 'x': give a whole number"),
        ("epochs = 1.5", "give a whole number"),
        ("targets = 3", "give a list of texts"),
        ("=", "is no TOML"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "my.toml").write_text(text)
    with pytest.raises(MoleblendError, match=words):
        read_options(tmp_path / "my.toml")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data": ""}, "no table"),
        ({"test_size": 1.0}, "--test-size 1"),
        ({"censored": "maybe"}, "--censored 'maybe'"),
        ({"epochs": -1}, "--epochs -1"),
        ({"readout": "max"}, "--readout 'max'"),
        ({"dropout": 1.0}, "--dropout 1"),
        ({"freeze_epochs": -1}, "--freeze-epochs -1"),
        ({"molecule_featurizers": "all"}, "--molecule-featurizers 'all'"),
        ({"group_column": "g", "date_column": "d"}, "--group-column and --date-column"),
        ({"split": "scaffold", "test": ("t.csv",)}, "--split and --valid and --test"),
    ],
)
def test_what_cannot_be(changed: dict[str, object], words: str) -> None:
    with pytest.raises(MoleblendError, match=words):
        replace(FitOptions(data="t.csv"), **changed).check()  # type: ignore[arg-type]


def test_larger_tables_get_no_more_passes_over_more_networks() -> None:
    rows = [with_defaults(FitOptions(), size) for size in (90, 900, 9_000, 30_000, 90_000)]
    passes = [row.ensemble_size * row.epochs for row in rows]
    assert passes == sorted(passes, reverse=True)
    assert [row.stacking for row in rows] == ["yes", "yes", "yes", "no", "no"]
    assert [row.molecule_featurizers for row in rows] == ["descriptors"] * 3 + ["none"] * 2


def test_what_the_user_says_stands() -> None:
    asked = FitOptions(
        ensemble_size=3, epochs=2, batch_size=8, stacking="no", readout="cls", molecule_featurizers="none"
    )
    assert with_defaults(asked, 900) == asked


def test_the_readout_is_by_the_kind_of_the_labels() -> None:
    chosen = {
        task: with_defaults(FitOptions(task=task), 900).readout for task in ("regression", "classification")
    }
    assert chosen == {"regression": "mean", "classification": "cls"}


def test_folds_of_a_tiny_table_hold_a_few_molecules() -> None:
    assert with_defaults(FitOptions(), 12).ensemble_size == 2


def test_choices_are_those_of_the_network() -> None:
    assert get_args(Readout) == READOUTS
    assert get_args(MoleculeFeaturizers) == FEATURIZERS
