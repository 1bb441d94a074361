"""AdamW behind the interface that tasks see, with Uni-Core's parameter groups and checkpoint layout."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor, nn

from moleblend_plugin.runs.flags import Config, option, read_flags
from moleblend_plugin.trainer.command.config import UpdateConfig
from moleblend_plugin.trainer.command.parse_values import parse_betas
from moleblend_plugin.trainer.loop.sharding import full, shared_out_like

NamedParameters = list[tuple[str, nn.Parameter]]

GROUP_KEYS = ("lr", "betas", "eps", "weight_decay", "amsgrad")
"""What Uni-Core's own Adam keeps of a parameter group; the rest are choices of torch's implementation."""


@dataclass(frozen=True, slots=True)
class AdamConfig:
    """``--optimizer adam``.

    Attributes:
        adam_betas: decay of the two moments
        adam_eps: added to the denominator
        weight_decay: decoupled weight decay
        use_old_adam: compute steps as Uni-Core's own Adam does, to the last bit; slower

    Raises:
        MoleblendError: betas that are not two numbers from 0 to 1.
    """

    adam_betas: str = option("(0.9, 0.999)", metavar="B")
    adam_eps: float = option(1e-8, metavar="E", least=0)
    weight_decay: float = option(0.0, "--wd", least=0)
    use_old_adam: bool = False

    def __post_init__(self) -> None:
        parse_betas(self.adam_betas)

    @property
    def betas(self) -> tuple[float, float]:
        """Decay of the two moments."""
        return parse_betas(self.adam_betas)


FUSED_ON = ("cpu", "cuda")
"""Devices on which torch updates a parameter in one pass."""

OPTIMIZERS: dict[str, type[Config]] = {"adam": AdamConfig}
"""What ``--optimizer`` can choose, with its options."""


def decay_groups(
    parameters: NamedParameters, weight_decay: float, exempt: Iterable[str]
) -> list[dict[str, Any]]:
    """Parameter groups: decayed first, then not decayed (biases, vectors and names that hold an exempt part).

    Args:
        parameters: trainable parameters by name.
        weight_decay: 0 puts all in one group.
        exempt: parts of names that are not decayed.
    """
    if weight_decay <= 0:
        return [{"params": [parameter for _, parameter in parameters]}]
    parts = [part for part in exempt if part]
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in parameters:
        skip = name.endswith(".bias") or parameter.ndim == 1 or any(part in name for part in parts)
        (kept if skip else decayed).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decayed}] if decayed else []
    return groups + ([{"params": kept, "weight_decay": 0.0}] if kept else [])


class AdamW(torch.optim.AdamW):
    """AdamW with eps added before the bias correction, as Uni-Core's Adam does.

    Torch computes ``m / (sqrt(v / c) + eps)``, Uni-Core ``m / ((sqrt(v) + eps) / sqrt(c))`` with ``c = 1 -
    beta2^t``. In the first updates eps then counts much more, and small gradients move weights less.

    Torch hides an optimiser's methods from its compiler, by wrappers that import the compiler. No step is
    compiled here, so they are taken without.
    """

    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    load_state_dict = unwrap(torch.optim.AdamW.load_state_dict)
    state_dict = unwrap(torch.optim.AdamW.state_dict)
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    _torch_step = torch.no_grad()(unwrap(torch.optim.AdamW.step))

    _stepping: tuple[int, bool] = (-1, True)
    """How many parameters had gradients at the last step, and whether all of them were at the same step."""

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one step: in one pass over a parameter (``fused``), or in Uni-Core's order of operations."""
        if self.param_groups[0]["fused"] and self._is_in_step():
            return self._fused_step(closure)
        loss = None if closure is None else closure()
        for group in self.param_groups:
            self._unfused_step(group)
        return loss

    def _is_in_step(self) -> bool:
        """Whether all parameters with gradients are at the same step, as one eps for a group needs.

        Those that got no gradient for a while are behind, for good. The steps may be on a GPU, so they are
        looked at only where more or fewer parameters than before have gradients.
        """
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if len(parameters) != self._stepping[0]:
            states = (self.state.get(parameter, {}) for parameter in parameters)
            self._stepping = len(parameters), len({int(state.get("step", 0)) for state in states}) <= 1
        return self._stepping[1]

    def _fused_step(self, closure: Callable[[], float] | None) -> float | None:
        """Torch's step with ``eps / sqrt(c)``, which is the same but for rounding."""
        plain = [group["eps"] for group in self.param_groups]
        for group in self.param_groups:
            states = (self.state[parameter] for parameter in group["params"] if parameter in self.state)
            done = next((int(state["step"]) for state in states if "step" in state), 0)
            group["eps"] /= math.sqrt(1 - group["betas"][1] ** (done + 1))
        try:
            result: float | None = self._torch_step(closure)
        finally:
            for group, eps in zip(self.param_groups, plain, strict=True):
                group["eps"] = eps
        return result

    def _unfused_step(self, group: dict[str, Any]) -> None:
        """The step of a group, rounded after the same operations as in Uni-Core."""
        by_step: dict[int, list[Tensor]] = {}  # a parameter without a gradient stays behind
        for parameter in group["params"]:
            if parameter.grad is not None:
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["exp_avg"] = torch.zeros_like(parameter)
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                state["step"] += 1
                by_step.setdefault(int(state["step"]), []).append(parameter)
        with torch.no_grad():
            for step, parameters in by_step.items():
                self._move(parameters, step, group)

    def _move(self, parameters: list[Tensor], step: int, group: dict[str, Any]) -> None:
        """Move parameters of which all are at the same step."""
        (beta1, beta2), lr = group["betas"], group["lr"]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        means = [self.state[parameter]["exp_avg"] for parameter in parameters]
        squares = [self.state[parameter]["exp_avg_sq"] for parameter in parameters]
        torch._foreach_mul_(means, beta1)
        torch._foreach_add_(means, gradients, alpha=1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        denominators = torch._foreach_sqrt(squares)
        torch._foreach_add_(denominators, group["eps"])
        if group["weight_decay"]:
            torch._foreach_add_(parameters, parameters, alpha=-group["weight_decay"] * lr)
        size = lr * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        torch._foreach_addcdiv_(parameters, means, denominators, value=-size)


def build_adamw(parameters: NamedParameters, args: Namespace, *, fused: bool = False) -> AdamW:
    """AdamW of the run's options over trainable parameters.

    Args:
        parameters: by name.
        args: the run's options.
        fused: update parameters in one pass (one kernel launch for many), where their device can: a sixth of
            the time, which is a tenth of an update of a small network. Not for float16, whose loss scaling
            steps differently.
    """
    trainable = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    can = all(parameter.device.type in FUSED_ON for _, parameter in trainable)
    adam, update = read_flags(args, AdamConfig), read_flags(args, UpdateConfig)
    return AdamW(
        decay_groups(trainable, adam.weight_decay, update.no_weight_decay_names.split(",")),
        lr=update.lr[0],
        betas=adam.betas,
        eps=adam.adam_eps,
        weight_decay=adam.weight_decay,
        fused=fused and can and not adam.use_old_adam,
    )


class Optimizer:
    """What tasks see: backward and step, plus gradients as a whole.

    Args:
        inner: torch's optimiser.
        backward: how to run backward (the engine scales and synchronises).
        step: how to step (the engine unscales); torch's own by default.
    """

    def __init__(
        self,
        inner: torch.optim.Optimizer,
        backward: Callable[[Tensor], None] = torch.Tensor.backward,
        step: Callable[[], object] | None = None,
    ) -> None:
        self.inner = inner
        self.backward = backward
        self.step = step or inner.step

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Torch's parameter groups."""
        return self.inner.param_groups

    @property
    def gradients(self) -> list[Tensor]:
        """Gradients that are there, in the order of the groups."""
        parameters = (parameter for group in self.param_groups for parameter in group["params"])
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    def zero_grad(self) -> None:
        """Drop all gradients."""
        self.inner.zero_grad(set_to_none=True)

    def get_lr(self) -> float:
        """Learning rate of the next step."""
        return float(self.param_groups[0]["lr"])

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of every group."""
        for group in self.param_groups:
            group["lr"] = lr

    @torch.no_grad()
    def multiply_grads(self, factor: float) -> None:
        """Multiply every gradient."""
        if gradients := self.gradients:
            torch._foreach_mul_(gradients, factor)

    @torch.no_grad()
    def clip_grad_norm(self, max_norm: float) -> Tensor:
        """Norm of all gradients, fp32 []; they are scaled down to ``max_norm`` at most (0: no limit)."""
        gradients = self.gradients
        if not gradients:
            return torch.tensor(0.0)
        norms = [torch.linalg.vector_norm(gradient, dtype=torch.float32) for gradient in gradients]
        norm: Tensor = full(torch.linalg.vector_norm(torch.stack(norms)))
        if max_norm > 0:
            torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def state_dict(self) -> dict[str, Any]:
        """State in the layout that Uni-Core's Adam keeps, so that a checkpoint continues there too."""
        state = self.inner.state_dict()
        return {
            "state": {
                number: values | {"step": int(values["step"])} for number, values in state["state"].items()
            },
            "param_groups": [
                {key: group[key] for key in (*GROUP_KEYS, "params")} for group in state["param_groups"]
            ],
        }

    def load_state_dict(
        self, state: dict[str, Any], overrides: dict[str, Any], current: dict[str, Any]
    ) -> None:
        """Take over moments and steps; the command's own hyperparameters win over the checkpoint's.

        Args:
            state: what :meth:`state_dict` gave, or Uni-Core's Adam.
            overrides: values of ``--optimizer-overrides``.
            current: the command's betas, eps and weight decay.
        """
        decays = [group["weight_decay"] for group in self.param_groups]
        fused = self.param_groups[0].get("fused")  # else torch would go on without, and not bit by bit
        groups = [group | {"fused": fused} for group in state["param_groups"]]
        self.inner.load_state_dict(state | {"param_groups": groups})
        if isinstance(self.inner, AdamW):
            self.inner._stepping = AdamW._stepping
        for parameter, values in self.inner.state.items():
            for key, value in values.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    values[key] = shared_out_like(value, parameter)
        for group, decay in zip(self.param_groups, decays, strict=True):
            group.update(current, weight_decay=decay, **overrides)
