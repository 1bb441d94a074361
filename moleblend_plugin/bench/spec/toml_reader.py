"""Typed reading of a TOML table: what is missing, unknown or of another type is named with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from moleblend_plugin.errors import MoleblendError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class Reader:
    """One table. Each value is taken once by its type; :meth:`done` refuses what nobody took.

    A default of ``None`` means that the value must be there.

    Args:
        values: the table.
        where: file and place, for messages.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values = dict(values)
        self.where = where
        self._known: list[str] = []

    def has(self, key: str) -> bool:
        """Whether the table holds ``key``."""
        return key in self.values

    def text(self, key: str, default: str | None) -> str:
        """A text; a whole number counts as its digits."""
        value = self._take(key, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def name(self, key: str) -> str:
        """A text that can name a folder."""
        value = self.text(key, None)
        if not _NAME.fullmatch(value):
            raise self._wrong(key, value, "a name of letters, digits, dots, dashes and underscores")
        self.where = f"{self.where} ({value})"
        return value

    def one_of(self, key: str, choices: Sequence[str], default: str | None) -> str:
        """One of some texts."""
        value = self.text(key, default)
        if value not in choices:
            raise self._wrong(key, value, f"one of {', '.join(choice for choice in choices if choice)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def whole(self, key: str, default: int | None, least: int) -> int | None:
        """A whole number; a default of ``None`` is one that may be absent."""
        value = self._take(key, default) if key in self.values else self._note(key, default)
        if value is not None and (type(value) is not int or value < least):
            raise self._wrong(key, value, f"a whole number from {least}")
        return value

    def wholes(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Several whole numbers, not negative."""
        value = self._take(key, default)
        if not isinstance(value, list | tuple) or not all(type(item) is int and item >= 0 for item in value):
            raise self._wrong(key, value, "a list of whole numbers")
        return tuple(value)

    def texts(self, key: str, default: tuple[str, ...] | None) -> tuple[str, ...]:
        """Several texts, or one."""
        value = self._take(key, default)
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, value, "a text or a list of texts")
        return tuple(value)

    def table(self, key: str, types: Mapping[str, type]) -> dict[str, Any]:
        """A table of numbers with known keys and types."""
        inner = self._inner(key)
        for name in types:
            inner._note(name, None)
        inner._refuse_unknown()
        return {name: inner._number(name, value, types[name]) for name, value in inner.values.items()}

    def lists(self, key: str, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """A table of lists of values, keys among ``names``."""
        inner = self._inner(key)
        for name in names:
            inner._note(name, None)
        inner._refuse_unknown()
        for name, value in inner.values.items():
            if not isinstance(value, list) or not value:
                raise inner._wrong(name, value, "a list of values")
        return {name: tuple(value) for name, value in inner.values.items()}

    def tables(self, key: str) -> list[Reader]:
        """The tables of ``[[key]]``, at least one."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value) or not value:
            self._refuse_unknown(also=True)
            raise MoleblendError(f"{self.where}: there is no [[{key}]]; name at least one")
        return [Reader(item, f"{self.where}: {key}[{number}]") for number, item in enumerate(value)]

    def done(self) -> None:
        """Refuse keys that nobody asked for."""
        self._refuse_unknown()

    def _inner(self, key: str) -> Reader:
        value = self._take(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, value, "a table of numbers, such as { lr = 1e-4 }")
        return Reader(value, f"{self.where}: {key}")

    def _note(self, key: str, default: Any) -> Any:  # noqa: ANN401  passes it through
        self._known.append(key)
        return default

    def _take(self, key: str, default: Any) -> Any:  # noqa: ANN401  any TOML value
        self._note(key, None)
        if key not in self.values:
            if default is None:
                self._refuse_unknown(also=True)
                raise MoleblendError(f"{self.where}: {key} is missing; add it")
            return default
        return self.values[key]

    def _number(self, key: str, value: Any, kind: type) -> Any:  # noqa: ANN401  of that type
        right = type(value) is kind or (kind is float and type(value) is int)
        if not right or (kind is not bool and value < 0):
            word = {int: "a whole number", float: "a number, 0 or more", bool: "true or false"}[kind]
            raise self._wrong(key, value, word)
        return kind(value)

    def _refuse_unknown(self, also: bool = False) -> None:
        for key in self.values:
            if key in self._known:
                continue
            close = difflib.get_close_matches(key, self._known, 1)
            if close:
                raise MoleblendError(f"{self.where}: unknown key {key!r}; did you mean {close[0]!r}?")
            if not also:
                raise MoleblendError(
                    f"{self.where}: unknown key {key!r}; choose from {', '.join(self._known)}"
                )

    def _wrong(self, key: str, value: object, expected: str) -> MoleblendError:
        return MoleblendError(f"{self.where}: {key} = {value!r} should be {expected}")
