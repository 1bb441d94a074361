"""Every flag of the trainer: names, type or choices, and default are Uni-Core's (flags.txt), and stay."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from moleblend_plugin.runs.flags import add_flags
from moleblend_plugin.trainer.command.config import GROUPS, add_trainer_flags
from moleblend_plugin.trainer.loop.optim import OPTIMIZERS
from moleblend_plugin.trainer.loop.schedules import SCHEDULES

TABLE = Path(__file__).with_name("flags.txt")


def rows(title: str, group: argparse._ActionsContainer) -> Iterator[str]:
    yield f"[{title}]"
    for action in group._group_actions:  # type: ignore[attr-defined]
        kind = getattr(action.type, "__name__", "switch").replace("parse", "numbers")
        kind = "|".join(action.choices) if action.choices else kind
        yield f"{' '.join(action.option_strings)}  {kind}  {action.default!r}"


def test_the_table_of_flags() -> None:
    found: list[str] = []
    parser = argparse.ArgumentParser(add_help=False)
    add_trainer_flags(parser)
    for title, group in zip(GROUPS, parser._action_groups[2:], strict=True):
        assert group.title == title
        found += rows(title, group)
    for name, config in OPTIMIZERS.items():
        group = argparse.ArgumentParser(add_help=False).add_argument_group()
        add_flags(group, config)
        found += rows(name, group)
    for name, schedule in SCHEDULES.items():
        parser = argparse.ArgumentParser(add_help=False)
        schedule.add_args(parser)
        found += rows(name, parser._action_groups[1])
    expected = TABLE.read_text(encoding="utf-8").replace("GPUS", str(max(1, torch.cuda.device_count())))
    assert found == expected.splitlines()


def test_every_flag_has_a_help_text() -> None:
    parser = argparse.ArgumentParser()
    add_trainer_flags(parser)
    for config in OPTIMIZERS.values():
        add_flags(parser, config)
    assert [action.dest for action in parser._actions if len(action.help or "") < 5] == []
