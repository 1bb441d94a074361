"""Where numbers stopped being finite, told by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from moleblend_plugin.host.embedded.pieces import rows_of, split_batch


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one process finds about an update that is not finite.

    Attributes:
        where: the first module or parameter concerned, in words.
        in_forward: whether it is a module whose output holds NaN.
        indices: items of the process's batches.
        suspects: those items whose loss alone is not finite.
    """

    where: str
    in_forward: bool
    indices: list[int]
    suspects: list[int]


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


@torch.no_grad()
def diagnose(
    model: nn.Module,
    loss: nn.Module,
    samples: list[dict[str, Any]],
    surroundings: Callable[[int], AbstractContextManager[Any]],
    compute: bool = True,
) -> Diagnosis:
    """Look for the first module, and for the items, that made an update not finite.

    Args:
        model: with the gradients of the update still in it.
        loss: likewise; called as ``loss(model, batch)``.
        samples: batches of the update, on the model's device.
        surroundings: context (random numbers, precision) in which batch number n was computed.
        compute: compute the batches again to find module and items; without, the gradients must tell.
    """
    parameter = first_bad_gradient(model) or first_bad_gradient(loss)
    modules: list[str] = []
    suspects: list[int] = []
    for number, sample in enumerate(samples if compute else []):
        with surroundings(number), watch_outputs(model) as found:
            value = loss(model, sample)[0]
        if found or not bool(torch.isfinite(value).all()):
            modules += found[:1] or ["the loss"]
            suspects += _suspects(model, loss, sample, surroundings, number)
    first = modules[0] if modules else None
    if first:
        where = f"the output of {first}"
    else:
        where = f"the gradient of {parameter}" if parameter else "the norm of all gradients"
    indices = [index for sample in samples for index in _indices(sample)]
    return Diagnosis(where, bool(modules), indices, suspects)


def _suspects(
    model: nn.Module,
    loss: nn.Module,
    sample: dict[str, Any],
    surroundings: Callable[[int], AbstractContextManager[Any]],
    number: int,
) -> list[int]:
    suspects = []
    for single in split_batch(sample, rows_of(sample)):
        with surroundings(number):
            finite = bool(torch.isfinite(loss(model, single)[0]).all())
        if not finite:
            suspects += _indices(single)
    return suspects


def _indices(sample: dict[str, Any]) -> list[int]:
    index = sample.get("index")
    return [int(item) for item in index] if index is not None else []
