"""Flags are generated from configs and read back to the same config."""

from __future__ import annotations

import argparse

import pytest

from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.losses.pretrain import PretrainLossConfig
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.runs.flags import add_flags, attribute_help, read_flags


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
