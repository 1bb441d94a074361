"""Committed tables of examples can be repeated: the networks of a comparison see the codes of the tables."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from moleblend_plugin.data.samples.input_codes import input_codes_of
from moleblend_plugin.tasks.load import load_encoder
from tests.trainers import ROOT

EXAMPLES = ROOT / "examples"
CODES = ["--input-codes", "published"]


def read(name: str) -> dict[str, Any]:
    """An example's TOML file."""
    return tomllib.loads((EXAMPLES / name).read_text(encoding="utf-8"))


def names_codes(flags: list[str]) -> bool:
    """Whether the flags are for the codes of the committed tables."""
    return CODES in [flags[at : at + 2] for at in range(len(flags))]


def test_the_network_of_the_tables_sees_published_codes() -> None:
    _, args = load_encoder("moleblend-tiny-relations")
    assert input_codes_of(args) == "published"


@pytest.mark.parametrize("name", ["20_moleculenet/moleculenet.toml", "40_structure_aware/gin.toml"])
def test_networks_from_scratch_see_them_too(name: str) -> None:
    scratch = [
        model for model in read(name)["models"] if model["kind"] == "ours" and "pretrained" not in model
    ]
    assert scratch
    assert [model["name"] for model in scratch if not names_codes(model["flags"])] == []


def test_the_ablations_see_them_from_start_to_end() -> None:
    config = read("40_structure_aware/ablations.toml")
    assert names_codes(config["pretrain"]["flags"])
    assert names_codes(config["readout"])
