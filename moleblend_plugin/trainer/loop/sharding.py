"""Weights that are shared out among processes (FSDP), each of which holds a part of every tensor."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def shard(model: nn.Module, mesh: Any) -> nn.Module:  # noqa: ANN401  a DeviceMesh, which old versions lack
    """Share out a model's weights in place: every layer of its lists is gathered alone, the rest at once.

    Args:
        model: the model.
        mesh: processes, with a dimension "data_parallel".
    """
    from torch.distributed.fsdp import fully_shard

    processes = mesh["data_parallel"]
    for module in model.modules():
        if isinstance(module, nn.ModuleList):
            for layer in module:
                fully_shard(layer, mesh=processes)
    fully_shard(model, mesh=processes)
    return model


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds a part of the tensor only."""
    return hasattr(tensor, "full_tensor")


def full(tensor: Tensor) -> Tensor:
    """The whole tensor; where it is shared out, all processes must ask for it together."""
    whole: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]
    return whole


def shared_out_like(tensor: Tensor, other: Tensor) -> Tensor:
    """This process's part of a whole tensor, shared out as ``other`` is; all processes must ask together."""
    if not is_sharded(other) or is_sharded(tensor):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(
        tensor.to(other.device),
        other.device_mesh,  # type: ignore[attr-defined]
        other.placements,  # type: ignore[attr-defined]
    )
