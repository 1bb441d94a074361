"""Names that the command line can choose: tasks, models with their architectures, losses."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TypeVar

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host.embedded.loss import BaseLoss
from moleblend_plugin.host.embedded.model import BaseModel
from moleblend_plugin.host.embedded.task import BaseTask

ArchFunction = Callable[[Namespace], None]
"""Completes the options of a model in place: ``args.width = getattr(args, "width", 512)``."""

TASKS: dict[str, type[BaseTask]] = {}
MODELS: dict[str, type[BaseModel]] = {}
LOSSES: dict[str, type[BaseLoss]] = {}
ARCH_MODELS: dict[str, type[BaseModel]] = {}
ARCH_FUNCTIONS: dict[str, ArchFunction] = {}

Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=ArchFunction)


def _add(kind: str, registry: dict[str, type], base: type, name: str, cls: type) -> None:
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


def register_task(name: str) -> Callable[[Class], Class]:
    """Class decorator that makes a task available as ``--task name``."""

    def decorate(cls: Class) -> Class:
        _add("task", TASKS, BaseTask, name, cls)
        return cls

    return decorate


def register_model(name: str) -> Callable[[Class], Class]:
    """Class decorator that names a model, so that architectures can be registered for it."""

    def decorate(cls: Class) -> Class:
        _add("model", MODELS, BaseModel, name, cls)
        return cls

    return decorate


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

    def decorate(cls: Class) -> Class:
        _add("loss", LOSSES, BaseLoss, name, cls)
        return cls

    return decorate
