"""Contributions of atoms by occlusion: the output with an atom less the output with it masked.

B masked copies of a molecule, N atoms, L labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moleblend_plugin.explain.masking import AtomInputs, NetInput, copies, hide_relations
from moleblend_plugin.inference.stream import PAIRS


def occlusion(network: nn.Module, net_input: NetInput, with_relations: bool = True) -> tuple[Tensor, Tensor]:
    """Contributions [N, L] and outputs [L] of a network for one molecule, in units of its outputs.

    Args:
        network: in evaluation mode; its forward gives [B, L].
        net_input: the molecule, a batch of one.
        with_relations: whether the relations of a masked atom are hidden too.
    """
    inputs = AtomInputs.of(network)
    atoms = net_input["atom_codes"].shape[1]
    with torch.no_grad():
        whole = network(**copies(net_input, 1))[0].cpu().double()
        every = torch.eye(atoms, dtype=torch.bool, device=net_input["atom_codes"].device)
        size = max(1, PAIRS // atoms**2)
        without = [
            _masked(network, inputs, net_input, every[first : first + size], with_relations)
            for first in range(0, atoms, size)
        ]
    return whole - torch.cat(without), whole


def _masked(
    network: nn.Module, inputs: AtomInputs, net_input: NetInput, hidden: Tensor, with_relations: bool
) -> Tensor:
    """Outputs fp64 [B, L] for B copies of a molecule with atoms ``hidden`` bool [B, N]."""
    batch = copies(net_input, len(hidden))
    if with_relations:
        hide_relations(batch, hidden)
    with inputs.vectors.changed(lambda given: inputs.mask(given, hidden)):
        outputs: Tensor = network(**batch)
    return outputs.cpu().double()
