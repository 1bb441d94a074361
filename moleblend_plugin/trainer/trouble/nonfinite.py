"""Where numbers stopped being finite, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from moleblend_plugin.trainer.loop.split_batch import rows_of, split_batch

Cause = Literal["", "labels", "model", "molecules"]

_PROBES: Final = 8
"""Molecules of another batch that are tried: a model that fails on most of them is itself to blame."""


GROWN: Final = 1e4
"""A loss so many times the smallest one of a run is no noise: the model diverges."""


@dataclass(slots=True)
class Growth:
    """How the loss of a run has moved.

    Attributes:
        least: the smallest so far.
        last: the latest.
    """

    least: float = math.inf
    last: float = 0.0

    def update(self, loss: float) -> None:
        """Take in the loss of an update."""
        if math.isfinite(loss):
            self.least, self.last = min(self.least, abs(loss)), abs(loss)

    @property
    def diverged(self) -> bool:
        """Whether it has grown out of all proportion."""
        return self.last > GROWN * max(self.least, 1e-3)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one process finds about an update that is not finite.

    Attributes:
        where: the first module or parameter concerned, in words.
        in_forward: whether it is a module whose output holds NaN.
        indices: items of the process's batches.
        suspects: those items whose loss alone is not finite.
        cause: what is to blame, "" where that is open.
        terms: names of the loss's terms that are not finite.
    """

    where: str
    in_forward: bool
    indices: list[int]
    suspects: list[int]
    cause: Cause = ""
    terms: list[str] = field(default_factory=list)


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _has_nan(value: object) -> bool:
    # Infinity is a legal value inside a network (masks); NaN never is.
    return any(bool(tensor.isnan().any()) for tensor in _tensors(value) if tensor.is_floating_point())


@contextmanager
def watch_outputs(model: nn.Module) -> Iterator[list[str]]:
    """Note, in the list given, the names of modules whose output holds NaN, in the order of computation."""
    found: list[str] = []
    handles = []

    def watcher(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
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
    probe: dict[str, Any] | None = None,
    grown: bool = False,
) -> Diagnosis:
    """Look for the first module, and for the items, that made an update not finite.

    Args:
        model: with the gradients of the update still in it.
        loss: likewise; called as ``loss(model, batch)``.
        samples: batches of the update, on the model's device.
        surroundings: context (random numbers, precision) in which batch number n was computed.
        compute: compute the batches again to find module and items; without, the gradients must tell.
        probe: another batch on that device, to tell bad molecules from a model that can do no molecule any
            more; ``None`` where no update has changed the model yet.
        grown: whether the loss of the updates before had grown out of all proportion.
    """
    parameter = first_bad_gradient(model) or first_bad_gradient(loss)
    modules: list[str] = []
    suspects: list[int] = []
    terms: dict[str, None] = {}
    for number, sample in enumerate(samples if compute else []):
        with surroundings(number), watch_outputs(model) as found:
            value, _, logged = loss(model, sample)
        terms |= dict.fromkeys(_bad_terms(logged))
        if found or not bool(torch.isfinite(value).all()):
            modules += found[:1] or ["the loss"]
            suspects += _suspects(model, loss, sample, surroundings, number)
    first = modules[0] if modules else None
    if first:
        where = f"the output of {first}"
    else:
        where = f"the gradient of {parameter}" if parameter else "the norm of all gradients"
    indices = [index for sample in samples for index in _indices(sample)]
    lost = first_bad_weight(model)
    if lost is not None:
        where = f"the weight {lost}"
    cause: Cause = "molecules" if suspects else ""
    if any(_has_infinity(sample.get("target")) for sample in samples):
        cause = "labels"
    elif lost is not None or grown or (suspects and probe is not None and compute):
        bad = (
            lost is not None or grown or _fails_on(model, loss, probe or {}, suspects, indices, surroundings)
        )
        cause = "model" if bad else "molecules"
    return Diagnosis(where, bool(modules), indices, suspects, cause, list(terms))


def _bad_terms(logged: Mapping[str, Any]) -> Iterator[str]:
    """Names of the terms whose loss is not finite, of what a loss logs as ``NAME_loss``."""
    for key, value in logged.items():
        if key.endswith("_loss") and not bool(torch.isfinite(torch.as_tensor(value)).all()):
            yield key.removesuffix("_loss")


def first_bad_weight(model: nn.Module) -> str | None:
    """Name of the first parameter that is not finite."""
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return name
    return None


def _has_infinity(value: object) -> bool:
    # NaN is a missing label; infinity is none.
    return any(bool(tensor.isinf().any()) for tensor in _tensors(value) if tensor.is_floating_point())


def _fails_on(
    model: nn.Module,
    loss: nn.Module,
    probe: dict[str, Any],
    suspects: list[int],
    indices: list[int],
    surroundings: Callable[[int], AbstractContextManager[Any]],
) -> bool:
    """Whether the loss of most other molecules is not finite either; without others, of all of the batch."""
    known = set(suspects)
    singles = [
        one for one in split_batch(probe, rows_of(probe)) if probe and not known.intersection(_indices(one))
    ]
    if not singles:
        return len(known) > 1 and known >= set(indices)
    failed = 0
    for single in singles[:_PROBES]:
        with surroundings(0):
            failed += not bool(torch.isfinite(loss(model, single)[0]).all())
    return 2 * failed > min(len(singles), _PROBES)


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
