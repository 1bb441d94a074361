"""Flags from configs: frozen dataclasses generate the options of task, model, loss and trainer.

Every field becomes ``--field-name``; its help text is the field's line under ``Attributes:``, its type gives
parser and choices. What a type cannot say (aliases, placeholder, least value) stands in :func:`option`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, field, fields
from types import NoneType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

from moleblend_plugin.errors import MoleblendError


class Config(Protocol):
    """A dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


C = TypeVar("C", bound=Config)


def option(
    default: Any,  # noqa: ANN401  of any field's type
    *aliases: str,
    least: float | None = None,
    metavar: str | None = None,
    parse: Callable[[str], Any] | None = None,
    help: str = "",
    shown: bool = False,
) -> Any:  # noqa: ANN401  as dataclasses.field
    """A field whose flag needs more than name, type and docstring say.

    Args:
        default: its value; a function without arguments makes one that is not the same everywhere.
        aliases: other spellings of the flag.
        least: lowest value; a lower one is refused.
        metavar: placeholder of the value in the help.
        parse: reads the value, in place of the type.
        help: its help text, in place of the docstring's line.
        shown: whether the help ends with the default.
    """
    metadata = {"aliases": aliases, "least": least, "metavar": metavar, "parse": parse}
    metadata |= {"help": help, "shown": shown}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def flag_of(name: str) -> str:
    """``--field-name`` of ``field_name``."""
    return "--" + name.replace("_", "-")


def attribute_help(config: type[Config]) -> dict[str, str]:
    """Help text per field, from the ``Attributes:`` section of the class docstring."""
    section = re.search(r"Attributes:\n(.*?)(?:\n\s*\n|\Z)", config.__doc__ or "", re.DOTALL)
    entries = re.findall(r"^ {8}(\w+): (.*(?:\n {9,}.*)*)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _numbers(size: int) -> Callable[[str], tuple[float, ...]]:
    """Parser of ``size`` comma-separated numbers."""

    def parse(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) != size:
            raise argparse.ArgumentTypeError(f"{text!r}: give {size} numbers with commas between them")
        return values

    return parse


def _kind_of(hint: Any) -> Any:  # noqa: ANN401  types, unions and Literals have no common one
    """The type of a value that is there: ``int`` of ``int | None``."""
    parts = get_args(hint)
    return next(part for part in parts if part is not NoneType) if NoneType in parts else hint


def add_flags(
    parser: argparse._ActionsContainer,
    config: type[Config],
    *,
    only: Sequence[str] = (),
    defaults: bool = True,
) -> None:
    """Add one option per field of ``config``.

    Args:
        parser: where to add them.
        config: a dataclass of numbers, texts, tuples of numbers, ``Literal`` choices (each maybe ``None``),
            and switches that are off.
        only: the fields to add; none named: all.
        defaults: ``False`` leaves an option out of the namespace unless it is given (Uni-Core's rule for
            models, whose defaults come from ``--arch``).
    """
    hints, texts = get_type_hints(config), attribute_help(config)
    known = {item.name: item for item in fields(config)}
    for name in only or known:
        item, more = known[name], known[name].metadata
        default: Any = item.default if item.default_factory is MISSING else item.default_factory()
        kind = _kind_of(hints[name])
        options: dict[str, Any] = {"help": (more.get("help") or texts.get(name, "")).replace("%", "%%")}
        if more.get("shown"):
            options["help"] += f" (default: {default})"
        if more.get("parse"):
            options |= {"type": more["parse"], "metavar": more["metavar"]}
        elif get_origin(kind) is Literal:
            options["choices"] = get_args(kind)
        elif get_origin(kind) is tuple:
            size = len(default) if Ellipsis in get_args(kind) else len(get_args(kind))
            options |= {"type": _numbers(size), "metavar": "P,P,..."}
        elif kind is bool:
            options["action"] = "store_true"
        else:
            options |= {"type": kind, "metavar": more.get("metavar") or kind.__name__.upper()}
        if not defaults:
            options["default"] = argparse.SUPPRESS
        elif default is not MISSING:
            options["default"] = default
        parser.add_argument(flag_of(name), *more.get("aliases", ()), **options)


class WithFlags:
    """What a command line chooses (task, model, loss), with options from its configs."""

    CONFIGS: ClassVar[tuple[type[Config], ...]] = ()
    """Every field of them is an option."""
    FLAG_DEFAULTS: ClassVar[bool] = True
    """``False``: options that are not given stay absent, see :func:`add_flags`."""

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        for config in cls.CONFIGS:
            add_flags(parser, config, defaults=cls.FLAG_DEFAULTS)


def read_flags(args: argparse.Namespace, config: type[C]) -> C:
    """Build ``config`` from parsed options; a field that is absent keeps its default.

    Raises:
        MoleblendError: a value below its least; from the config, for an impossible value or combination.
    """
    known = fields(config)
    for item in known:
        value, least = getattr(args, item.name, None), item.metadata.get("least")
        if value is not None and least is not None and not value >= least:
            raise MoleblendError(f"{flag_of(item.name)} {value} is too small: give {least} or more")
    return config(**{item.name: getattr(args, item.name) for item in known if hasattr(args, item.name)})
