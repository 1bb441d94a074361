"""``--checkpoint-activations``: the same numbers from fewer kept ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.moleblend import MoleBlend
from tests.invariants import samples

CONFIG = replace(PRESETS["moleblend_tiny"], dropout=0.1, drop_path=0.2)


def gradients(again: bool) -> tuple[float, dict[str, Tensor], int]:
    """Loss, gradients, and bytes that the forward pass of a training step keeps for them."""
    torch.manual_seed(0)
    model = MoleBlend(replace(CONFIG, checkpoint_activations=again)).train()
    net_input = collate(samples((9, 14)))["net_input"]
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(1)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = [output for output in model(**net_input) if output is not None]
    loss = torch.stack([output.float().square().mean() for output in outputs]).sum()
    loss.backward()
    named = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return loss.item(), named, sum(kept.values())


def test_loss_and_gradients_are_the_same_with_dropout_and_fewer_bytes_are_kept() -> None:
    loss, expected, bytes_kept = gradients(again=False)
    again, found, fewer = gradients(again=True)
    assert again == loss
    assert found.keys() == expected.keys()
    assert "encoder.layers.0.attention.qkv.weight" in found
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=0, msg=name)
    assert fewer < bytes_kept / 2
