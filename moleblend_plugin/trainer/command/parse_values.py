"""Values of flags, parsed without ever evaluating what a person typed."""

from __future__ import annotations

import ast
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any, TypeVar

from moleblend_plugin.errors import MoleblendError

_Number = TypeVar("_Number", int, float)


def _literal(text: str) -> object:
    """Any Python literal."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ArgumentTypeError(f"{text!r} is not a number or a list of numbers") from error


def number_list(kind: Callable[[Any], _Number], what: str) -> Callable[[str], list[_Number]]:
    """Parser of ``1``, ``1,2`` or ``[1, 2]`` into a list of positive numbers.

    Args:
        kind: ``int`` or ``float``.
        what: what the numbers are, for the message.
    """

    def parse(text: str) -> list[_Number]:
        value = _literal(text)
        items = list(value) if isinstance(value, list | tuple) else [value]
        numbers = [item for item in items if isinstance(item, int | float) and not isinstance(item, bool)]
        if not items or len(numbers) != len(items) or any(kind(item) != item for item in numbers):
            raise ArgumentTypeError(f"{text!r} is not a list of {what}: give numbers such as 1 or 1,2")
        if any(not item >= 0 for item in numbers):
            raise ArgumentTypeError(f"{text!r} holds a value below 0: {what} are positive")
        return [kind(item) for item in numbers]

    return parse


def parse_betas(text: str) -> tuple[float, float]:
    """The two decays of ``--adam-betas``.

    Raises:
        MoleblendError: they are not two numbers from 0 to 1.
    """
    wrong = MoleblendError(
        f"--adam-betas {text!r} must be two numbers from 0 up to 1, such as '(0.9, 0.999)'"
    )
    try:
        value = _literal(text)
    except ArgumentTypeError as error:
        raise wrong from error
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise wrong
    if not all(isinstance(beta, int | float) and 0 <= beta < 1 for beta in value):
        raise wrong
    return float(value[0]), float(value[1])


def parse_overrides(text: str) -> dict[str, Any]:
    """The dictionary of ``--optimizer-overrides``.

    Raises:
        MoleblendError: it is no dictionary of literals.
    """
    try:
        value = _literal(text)
    except ArgumentTypeError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MoleblendError(
            f"--optimizer-overrides {text!r} must be a dictionary, such as \"{{'eps': 1e-6}}\""
        )
    return value
