"""A network whose contributions are known, and how a predictor gets it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.blend.heads import Readout
from moleblend_plugin.models.parts.atom_table import AtomTable
from moleblend_plugin.models.property.network import HeadConfig, PropertyConfig, PropertyNet, PropertyOutputs
from moleblend_plugin.schema import Float64Array, LabelKind, MoleculeRecord

SMALL = ModelConfig(
    encoder_layers=2, encoder_embed_dim=16, encoder_ffn_embed_dim=32, encoder_attention_heads=4
)


class SumOfAtoms(PropertyOutputs):
    """An output is the sum over atoms of a linear map of the atom's vector."""

    def __init__(self, outputs: int, kind: LabelKind) -> None:
        super().__init__()
        self.add_outputs(PropertyConfig(outputs, kind))
        self.atoms = AtomTable(5)
        self.head = nn.Linear(5, outputs)

    def forward(self, **net_input: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.atoms(net_input["atom_codes"]).sum(1))
        return outputs

    def by_hand(self, record: MoleculeRecord) -> Float64Array:
        """Every atom's part of the label, [N, L]."""
        codes = torch.from_numpy(record.atom_codes.astype(np.uint8) + np.uint8(1))[None]
        with torch.no_grad():
            parts = self.atoms(codes)[0] @ self.head.weight.T * self.target_std
        return parts.double().numpy()


def predictor_of(network: PropertyOutputs, names: Sequence[str], mode: str = "2d") -> Predictor:
    args = argparse.Namespace(target_names=list(names), input_mode=mode, input_codes="invariant")
    return Predictor(network, args, "cpu")


@pytest.fixture
def linear() -> SumOfAtoms:
    torch.manual_seed(0)
    network = SumOfAtoms(2, "regression")
    network.set_target_scale(torch.tensor([3.0, -1.0]), torch.tensor([2.0, 0.5]))
    return network


def transformer(
    kind: LabelKind = "regression", outputs: int = 2, readout: Readout = "cls", seed: int = 0
) -> PropertyNet:
    """The encoder in a small size, with weights so large that its outputs are no straight line."""
    torch.manual_seed(seed)
    network = PropertyNet(SMALL, PropertyConfig(outputs, kind, HeadConfig(readout=readout)))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() > 1 and "gaussians" not in name:
                weight.mul_(8)
    if kind == "regression":
        network.set_target_scale(torch.full((outputs,), 3.0), torch.full((outputs,), 2.0))
    return network
