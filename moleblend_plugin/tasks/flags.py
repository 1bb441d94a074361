"""Flags from configs: one frozen dataclass per room generates its options and reads them back.

Every field becomes ``--field-name``; its help text is the field's line under ``Attributes:``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints


class Config(Protocol):
    """A dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


C = TypeVar("C", bound=Config)


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


def add_flags(parser: argparse._ActionsContainer, config: type[Config], *, defaults: bool = True) -> None:
    """Add one option per field of ``config``.

    Args:
        parser: where to add them.
        config: a dataclass of numbers, tuples of numbers, ``Literal`` choices, and switches that are off.
        defaults: ``False`` leaves an option out of the namespace unless it is given (Uni-Core's rule for
            models, whose defaults come from ``--arch``).
    """
    hints, texts = get_type_hints(config), attribute_help(config)
    for item in fields(config):
        flag, kind = "--" + item.name.replace("_", "-"), hints[item.name]
        options: dict[str, Any] = {"help": texts.get(item.name, "").replace("%", "%%")}
        if get_origin(kind) is Literal:
            options["choices"] = get_args(kind)
        elif get_origin(kind) is tuple:
            size = len(item.default) if Ellipsis in get_args(kind) else len(get_args(kind))  # type: ignore[arg-type]
            options |= {"type": _numbers(size), "metavar": "P,P,..."}
        elif kind is bool:
            options["action"] = "store_true"
        else:
            options |= {"type": kind, "metavar": kind.__name__.upper()}
        if defaults and item.default is not MISSING:
            options["default"] = item.default
        elif not defaults:
            options["default"] = argparse.SUPPRESS
        parser.add_argument(flag, **options)


def read_flags(args: argparse.Namespace, config: type[C]) -> C:
    """Build ``config`` from parsed options; a field that is absent keeps its default.

    Raises:
        MoleblendError: from the config, for an impossible value or combination.
    """
    names = [item.name for item in fields(config)]
    return config(**{name: getattr(args, name) for name in names if hasattr(args, name)})
