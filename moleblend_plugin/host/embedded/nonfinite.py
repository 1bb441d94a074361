"""Where numbers stopped being finite, told by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def _tensors(value: Any) -> Iterator[Tensor]:  # noqa: ANN401  any nesting of tensors
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _has_nan(value: Any) -> bool:  # noqa: ANN401
    # Infinity is a legal value inside a network (masks); NaN never is.
    return any(bool(tensor.isnan().any()) for tensor in _tensors(value) if tensor.is_floating_point())


@contextmanager
def watch_outputs(model: nn.Module) -> Iterator[list[str]]:
    """Note, in the list given, the names of modules whose output holds NaN, in the order of computation."""
    found: list[str] = []
    handles = []

    def watcher(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ANN401  torch's hook
            if _has_nan(output):
                found.append(f"{name or 'the model'} ({type(module).__name__})")

        return hook

    for name, module in model.named_modules():
        handles.append(module.register_forward_hook(watcher(name)))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def first_bad_gradient(model: nn.Module) -> str | None:
    """Name of the first parameter whose gradient is not finite."""
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            return name
    return None
