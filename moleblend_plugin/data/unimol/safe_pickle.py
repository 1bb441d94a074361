"""Pickles read as data: plain containers, text, bytes, numbers and NumPy arrays, protocols 0 to 5.

``pickle.loads`` imports and calls whatever its bytes name. Here ``pickletools`` takes the bytes apart and
this file follows the instructions on a stack of its own. Names are compared, never imported; the few that
plain values need have a stand-in (``pickled_names``); setting an object's state works on those alone.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, Final

from moleblend_plugin.data.unimol.pickled_names import (
    STAND_INS,
    Omitted,
    PendingArray,
    PendingDtype,
    checked_keys,
)

MOST_BYTES: Final = 1 << 26
"""Bytes of one pickle (64 MiB); a molecule takes some kilobytes."""

_SHOWN: Final = 80
"""Characters of a foreign name that a message shows."""


class BadPickle(ValueError):
    """Bytes that are no pickle of plain values; the text says why."""


class RefusedName(BadPickle):
    """A pickle that asks for a class or function besides the plain ones.

    Attributes:
        wanted: its name as ``module.name``, printable, shortened.
    """

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted.encode("unicode_escape").decode("ascii")[:_SHOWN]
        super().__init__(f"the pickle asks for {self.wanted}: opening it would run code")


class _Call:
    """A name of ``STAND_INS`` on the stack: may be called, and is no value."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


class _Arguments(tuple[Any, ...]):
    """A tuple that holds a :class:`_Call`: good for a call, and no value."""


def loads(content: bytes) -> object:
    """The plain value that ``content`` is a pickle of; an RDKit molecule in it becomes ``Omitted``.

    Raises:
        RefusedName: it asks for something that is not plain; nothing was run.
        BadPickle: it is damaged, too long, or uses what plain values never use.
    """
    if len(content) > MOST_BYTES:
        raise BadPickle(f"{len(content)} bytes in one pickle, more than {MOST_BYTES}")
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            machine.follow(opcode.name, argument)
        return _value(machine.stack[-1])
    except BadPickle:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError) as error:
        reason = " ".join(str(error).split())[:_SHOWN]
        raise BadPickle(f"no readable pickle of plain values ({reason or type(error).__name__})") from error


class _Machine:
    """The pickle machine: a stack, the stacks below open marks, and the memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def follow(self, name: str, argument: object) -> None:
        """Do what the opcode ``name`` says."""
        if name in _PUSHES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _REMEMBERS:
            self.memo[argument if isinstance(argument, int) else len(self.memo)] = self.stack[-1]
        elif name in _RECALLS:
            self.stack.append(self.memo[argument])  # type: ignore[index]  # an int, by the opcode
        elif name in _STEPS:
            _STEPS[name](self)
        elif name in ("GLOBAL", "INST"):  # INST would call it too; no plain value is written so
            module, _, wanted = str(argument).partition(" ")
            self._name(module, wanted)
        elif name not in _NOTHING:
            raise BadPickle(f"the pickle uses {name}, which plain values never do")

    def marked(self) -> list[Any]:
        """The items above the last mark, which is taken away."""
        items = self.stack
        self.stack = self.below.pop()
        return items

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop_mark(self) -> None:
        self.marked()

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.marked()

    def named(self) -> None:
        wanted, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(module, str) and isinstance(wanted, str)):
            raise BadPickle("the pickle names a class by something else than text")
        self._name(module, wanted)

    def _name(self, module: str, wanted: str) -> None:
        if (module, wanted) not in STAND_INS:
            raise RefusedName(f"{module}.{wanted}")
        self.stack.append(_Call(STAND_INS[module, wanted]))

    def call(self) -> None:
        arguments, target = self.stack.pop(), self.stack.pop()
        if not (isinstance(target, _Call) and isinstance(arguments, tuple)):
            raise BadPickle("the pickle calls something that is no function")
        self.stack.append(target.function(*(a.function if isinstance(a, _Call) else a for a in arguments)))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, PendingDtype | PendingArray):
            target.build(state)
        elif not isinstance(target, Omitted):
            raise BadPickle("the pickle sets the state of something that has none")

    def tuple_of(self, items: list[Any]) -> None:
        calls = any(isinstance(item, _Call | _Arguments) for item in items)
        done = [item if isinstance(item, _Call | _Arguments) else _value(item) for item in items]
        self.stack.append(_Arguments(done) if calls else tuple(done))

    def last(self, count: int) -> None:
        """A tuple of the last ``count`` items."""
        if len(self.stack) < count:
            raise BadPickle("the pickle's stack is empty")
        items = self.stack[-count:]
        del self.stack[-count:]
        self.tuple_of(items)

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise BadPickle("the pickle appends to something that is no list")
        target.extend(_value(item) for item in items)

    def fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise BadPickle("the pickle sets items of something that is no dict")
        target.update(zip(checked_keys(items[::2]), (_value(item) for item in items[1::2]), strict=True))

    def add(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise BadPickle("the pickle adds to something that is no set")
        target.update(checked_keys(items))

    def freeze(self) -> None:
        items = self.marked()
        self.stack.append(frozenset(checked_keys(items)))

    def make(self, empty: object, put: Callable[[list[Any]], None]) -> None:
        """A new container on the stack from the items above the mark."""
        items = self.marked()
        self.stack.append(empty)
        put(items)


def _value(item: object) -> object:
    """``item`` where a plain value is due."""
    if isinstance(item, PendingDtype | PendingArray):
        if item.value is None:
            raise BadPickle("an array without content")
        return item.value
    if isinstance(item, _Call | _Arguments):
        raise BadPickle("a class or function in place of a value")
    return item


_PUSHES: Final = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_CONSTANTS: Final[dict[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_REMEMBERS: Final = frozenset(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"))
_RECALLS: Final = frozenset(("GET", "BINGET", "LONG_BINGET"))
_NOTHING: Final = frozenset(("PROTO", "FRAME", "STOP"))
_STEPS: Final[dict[str, Callable[[_Machine], None]]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "TUPLE": lambda m: m.tuple_of(m.marked()),
    "TUPLE1": lambda m: m.last(1),
    "TUPLE2": lambda m: m.last(2),
    "TUPLE3": lambda m: m.last(3),
    "APPEND": lambda m: m.extend([m.stack.pop()]),
    "APPENDS": lambda m: m.extend(m.marked()),
    "LIST": lambda m: m.make([], m.extend),
    "SETITEM": lambda m: m.fill([m.stack.pop(), m.stack.pop()][::-1]),
    "SETITEMS": lambda m: m.fill(m.marked()),
    "DICT": lambda m: m.make({}, m.fill),
    "ADDITEMS": lambda m: m.add(m.marked()),
    "FROZENSET": _Machine.freeze,
    "STACK_GLOBAL": _Machine.named,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
}
