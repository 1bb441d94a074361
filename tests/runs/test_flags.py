"""Flags are generated from configs and read back to the same config."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Literal

import pytest

from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.pretrain import PretrainLossConfig
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.runs.flags import WithFlags, add_flags, attribute_help, option, read_flags


def parse(config: type, *argv: str, defaults: bool = True) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_flags(parser, config, defaults=defaults)
    return parser.parse_args(argv)


@pytest.mark.parametrize("config", [BlendConfig, PretrainLossConfig, ModelConfig])
def test_no_flag_gives_the_defaults(config: type) -> None:
    assert read_flags(parse(config), config) == config()


@pytest.mark.parametrize("config", [BlendConfig, PretrainLossConfig, ModelConfig])
def test_every_field_has_a_flag_with_help(config: type) -> None:
    texts = attribute_help(config)
    assert set(texts) == set(config.__dataclass_fields__)
    assert all(len(text) > 1 for text in texts.values())


def test_given_flags_win() -> None:
    given = parse(
        BlendConfig, "--relation-probs", "0.7,0.2,0.1", "--noise-sigma", "0.1", "--blend-scope", "batch"
    )
    assert read_flags(given, BlendConfig) == BlendConfig(
        (0.7, 0.2, 0.1), noise_sigma=0.1, blend_scope="batch"
    )


def test_without_defaults_an_absent_flag_stays_absent() -> None:
    """Uni-Core's rule for models: the preset fills in what was not given."""
    given = parse(ModelConfig, "--encoder-layers", "3", defaults=False)
    assert vars(given) == {"encoder_layers": 3}
    assert read_flags(given, ModelConfig) == ModelConfig(encoder_layers=3)


@pytest.mark.parametrize("text", ["0.5,0.5", "a,b,c", ""])
def test_unreadable_numbers_name_flag_and_remedy(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(BlendConfig, "--relation-probs", text)
    assert f"argument --relation-probs: {text!r}: give 3 numbers with commas" in capsys.readouterr().err


@dataclass(frozen=True)
class Sizes:
    """What a type does not say.

    Attributes:
        width: of 100 % of layers
        name: of the run
        rates: one or several
    """

    width: int | None = option(None, "--wide", least=1, metavar="N", shown=True)
    name: Literal["a", "b"] | None = None
    rates: list[float] = option(lambda: [0.5], parse=lambda text: [float(part) for part in text.split("/")])
    old: float | None = option(None, help="without effect")


def test_what_a_type_does_not_say() -> None:
    assert read_flags(parse(Sizes), Sizes) == Sizes(None, None, [0.5])
    given = parse(Sizes, "--wide", "3", "--name", "b", "--rates", "1/2", "--old", "4")
    assert read_flags(given, Sizes) == Sizes(3, "b", [1.0, 2.0], 4.0)
    parser = argparse.ArgumentParser()
    add_flags(parser, Sizes, only=("old", "width"))
    text = " ".join(parser.format_help().split())
    assert "--old FLOAT without effect --width N, --wide N of 100 % of layers (default: None)" in text
    assert "--name" not in text


@pytest.mark.parametrize("width", ["0", "-3"])
def test_a_value_below_its_least_is_named(width: str) -> None:
    with pytest.raises(MoleblendError, match=f"--width {width} is too small: give 1 or more"):
        read_flags(parse(Sizes, "--width", width), Sizes)


def test_a_class_declares_the_options_of_its_configs() -> None:
    class Chosen(WithFlags):
        CONFIGS = (BlendConfig, Sizes)
        FLAG_DEFAULTS = False

    parser = argparse.ArgumentParser()
    Chosen.add_args(parser)
    given = parser.parse_args(["--noise-sigma", "0.1", "--width", "2"])
    assert vars(given) == {"noise_sigma": 0.1, "width": 2}
