"""Names that the command line can choose: tasks, models with their architectures, losses."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

from moleblend_plugin.errors import MoleblendError

Kind = Literal["task", "model", "loss"]

BASES: dict[Kind, type] = {}
"""The base class of each kind, by its own word (:func:`base_of`)."""


class HasArgs(Protocol):
    """What losses and models know of a task."""

    args: Namespace


ArchFunction = Callable[[Namespace], None]
"""Completes the options of a model in place: ``args.width = getattr(args, "width", 512)``."""

# The values are subclasses of BASES; each base class types them for itself.
TASKS: dict[str, Any] = {}
MODELS: dict[str, Any] = {}
LOSSES: dict[str, Any] = {}
ARCH_MODELS: dict[str, Any] = {}
ARCH_FUNCTIONS: dict[str, ArchFunction] = {}

Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=ArchFunction)


def base_of(kind: Kind) -> Callable[[Class], Class]:
    """Class decorator by which a base class declares itself."""

    def declare(cls: Class) -> Class:
        BASES[kind] = cls
        return cls

    return declare


def _add(kind: Kind, registry: dict[str, Any], name: str, cls: Class) -> Class:
    base = BASES[kind]
    if not issubclass(cls, base):
        raise MoleblendError(f"{kind} {name!r}: class {cls.__name__} must extend {base.__name__}")
    if name in registry:
        raise MoleblendError(
            f"{kind} {name!r} is already registered by {registry[name].__name__}: choose another name"
        )
    if any(other.__name__ == cls.__name__ for other in registry.values()):
        raise MoleblendError(
            f"{kind} {name!r}: another {kind} class is called {cls.__name__}: rename the class"
        )
    registry[name] = cls
    return cls


def register_task(name: str) -> Callable[[Class], Class]:
    """Class decorator that makes a task available as ``--task name``."""
    return lambda cls: _add("task", TASKS, name, cls)


def register_model(name: str) -> Callable[[Class], Class]:
    """Class decorator that names a model, so that architectures can be registered for it."""
    return lambda cls: _add("model", MODELS, name, cls)


def register_model_architecture(model_name: str, arch_name: str) -> Callable[[Function], Function]:
    """Function decorator: ``model_name`` with completed options is available as ``--arch arch_name``."""

    def decorate(function: Function) -> Function:
        if model_name not in MODELS:
            raise MoleblendError(
                f"architecture {arch_name!r}: there is no model {model_name!r}: register it before"
            )
        if arch_name in ARCH_MODELS:
            raise MoleblendError(f"architecture {arch_name!r} is already registered: choose another name")
        ARCH_MODELS[arch_name] = MODELS[model_name]
        ARCH_FUNCTIONS[arch_name] = function
        return function

    return decorate


def register_loss(name: str) -> Callable[[Class], Class]:
    """Class decorator that makes a loss available as ``--loss name``."""
    return lambda cls: _add("loss", LOSSES, name, cls)
