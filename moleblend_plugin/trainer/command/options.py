"""From a command line to one namespace, in two passes: what was chosen, then what the choices declare."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NoReturn, TypeVar

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.networks.resolve import resolve_start
from moleblend_plugin.runs.flags import add_flags
from moleblend_plugin.trainer.command.checks import check_options
from moleblend_plugin.trainer.command.config import add_trainer_flags
from moleblend_plugin.trainer.command.plugins import import_plugins
from moleblend_plugin.trainer.contract import registry
from moleblend_plugin.trainer.loop.optim import OPTIMIZERS
from moleblend_plugin.trainer.loop.schedules import SCHEDULES
from moleblend_plugin.version import __version__

Target = TypeVar("Target", bound=argparse._ActionsContainer)


def closest(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that is most like ``word``, empty where none is near."""
    matches = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line each, raised instead of printed."""

    def __init__(self) -> None:
        super().__init__(
            prog="moleblend-train",
            description="Train with the embedded trainer; flags and defaults are Uni-Core's.",
            usage="%(prog)s DATA --task NAME --arch NAME --loss NAME --batch-size N --max-update N [options]",
            allow_abbrev=False,
            add_help=False,
        )
        self.add_argument("--version", action="version", version=f"moleblend-train {__version__}")

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise MoleblendError(message.removeprefix("argument "))

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            flag = action.option_strings[0]
            raise MoleblendError(
                f"{flag} {value!r} is unknown{closest(str(value), known)}: choose from {', '.join(known)}"
            )

    def check_all_used(self, rest: list[str]) -> None:
        """Refuse what no flag took.

        Raises:
            MoleblendError: names the first such argument and the flag most like it.
        """
        if not rest:
            return
        first = next((word for word in rest if word.startswith("-")), rest[0])
        if not first.startswith("-"):
            raise MoleblendError(
                f"argument {first!r} belongs to no flag: remove it, or put a flag in front of it"
            )
        flag = first.split("=")[0]
        hint = closest(flag, self._option_string_actions)
        raise MoleblendError(
            f"{flag} is an unknown option{hint}: --help lists all options of the chosen task and arch"
        )


def _choices(parser: Parser) -> None:
    group = parser.add_argument_group("what to train")
    group.add_argument("--task", choices=list(registry.TASKS), help="task (needed)")
    group.add_argument("--arch", "-a", choices=list(registry.ARCH_MODELS), help="architecture (needed)")
    group.add_argument("--loss", choices=list(registry.LOSSES), help="loss (needed)")
    group.add_argument(
        "--optimizer", choices=list(OPTIMIZERS), default="adam", help="optimiser (default: adam)"
    )
    group.add_argument(
        "--lr-scheduler", choices=list(SCHEDULES), default="fixed", help="schedule (default: fixed)"
    )


def _declare(what: str, add_args: Callable[[Target], None], target: Target) -> None:
    try:
        add_args(target)
    except argparse.ArgumentError as error:
        raise MoleblendError(
            f"{what} declares an option that is already there: {error}; rename it"
        ) from error


def _add_chosen(parser: Parser, chosen: argparse.Namespace) -> None:
    if chosen.arch is not None:
        # Options not given stay absent, so that the architecture's function can fill them in.
        group = parser.add_argument_group(f"arch {chosen.arch}", argument_default=argparse.SUPPRESS)
        _declare(f"arch {chosen.arch!r}", registry.ARCH_MODELS[chosen.arch].add_args, group)
    if chosen.task is not None:
        _declare(f"task {chosen.task!r}", registry.TASKS[chosen.task].add_args, parser)
    if chosen.loss is not None:
        _declare(f"loss {chosen.loss!r}", registry.LOSSES[chosen.loss].add_args, parser)
    add_optimizer = partial(add_flags, config=OPTIMIZERS[chosen.optimizer])
    _declare(f"optimizer {chosen.optimizer!r}", add_optimizer, parser)
    _declare(f"lr-scheduler {chosen.lr_scheduler!r}", SCHEDULES[chosen.lr_scheduler].add_args, parser)


def _require(args: argparse.Namespace) -> None:
    known: dict[str, Iterable[str]] = {
        "task": registry.TASKS,
        "arch": registry.ARCH_MODELS,
        "loss": registry.LOSSES,
    }
    for name, choices in known.items():
        if getattr(args, name) is None:
            raise MoleblendError(f"--{name} is missing: choose from {', '.join(choices)}")


def keep_epochs_or_not(args: argparse.Namespace, task: object) -> None:
    """Fill in what is kept of epochs: all of them as in Uni-Core, or only the best and the last.

    The latter for tasks with ``EPOCH_CHECKPOINTS = False``, where there will be a best and a last one, and
    unless ``--save-interval`` or ``--keep-last-epochs`` asks for epochs.
    """
    asked = args.save_interval is not None or args.keep_last_epochs is not None
    best_and_last = not (args.no_last_checkpoints or args.disable_validation)
    if not asked and best_and_last and not getattr(task, "EPOCH_CHECKPOINTS", True):
        args.no_epoch_checkpoints = True
    args.save_interval = 1 if args.save_interval is None else args.save_interval
    args.keep_last_epochs = -1 if args.keep_last_epochs is None else args.keep_last_epochs


def parse_options(argv: Sequence[str]) -> argparse.Namespace:
    """Read a training command.

    Imports the plugins, since their registrations are the choices; applies the architecture's function.

    Args:
        argv: the command's arguments.

    Returns:
        All options in one flat namespace, as Uni-Core has it.

    Raises:
        MoleblendError: an unknown, missing or impossible option.
        SystemExit: after printing the help, with code 0.
    """
    user = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    user.add_argument("--user-dir")
    import_plugins(user.parse_known_args(argv)[0].user_dir)

    parser = Parser()
    add_trainer_flags(parser)
    _choices(parser)
    chosen, _ = parser.parse_known_args(argv)
    _add_chosen(parser, chosen)
    parser.add_argument(
        "-h", "--help", action="help", help="show this text, with the options of what was chosen"
    )
    if not {"-h", "--help"} & set(argv):
        _require(chosen)
    args, rest = parser.parse_known_args(argv)
    parser.check_all_used(rest)
    keep_epochs_or_not(args, registry.TASKS[args.task])
    if args.batch_size_valid is None:
        args.batch_size_valid = args.batch_size
    resolve_start(args)
    check_options(args)
    registry.ARCH_FUNCTIONS[args.arch](args)
    return args
