"""Integrated gradients against captum's (Kokhlikyan et al., 2020), where that is installed.

Its ``IntegratedGradients`` gets a function of the atoms' vectors, not the network: through a layer that runs
several times in a forward (``LayerIntegratedGradients``) it takes the last call's output for all of them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from moleblend_plugin.explain.gradients import Seen, integrated_gradients, seen_by, showing
from moleblend_plugin.explain.masking import AtomInputs, NetInput, copies
from tests.explain.conftest import predictor_of, transformer
from tests.molecules import make_record

attr = pytest.importorskip("captum.attr")


@pytest.mark.parametrize(("steps", "mode"), [(8, "2d"), (32, "both")])
def test_the_same_as_captum(steps: int, mode: str) -> None:
    network = transformer(outputs=1).eval()
    inputs = AtomInputs.of(network)
    compared = []

    def both(net_input: NetInput) -> list[np.ndarray]:
        ours = integrated_gradients(network, net_input, first=steps, most=steps)
        with torch.inference_mode(False), torch.enable_grad():
            molecule = copies(net_input, 1)
            vectors, biases = seen_by(network, inputs, molecule)
            assert biases is not None

            def outputs(vectors: Tensor, biases: Tensor) -> Tensor:
                with showing(inputs, Seen(vectors, biases)):
                    found: Tensor = network(**copies(molecule, len(vectors)))[:, 0]
                return found

            masked = inputs.mask(vectors, torch.ones_like(molecule["degree"], dtype=torch.bool))
            of_atoms, of_pairs = attr.IntegratedGradients(outputs).attribute(
                (vectors, biases), (masked, torch.zeros_like(biases)), n_steps=steps, method="gausslegendre"
            )
        pairs = of_pairs[0].sum(0)
        theirs = of_atoms[0, 1:].sum(-1) + (pairs.sum(0) + pairs.sum(1)) / 2
        compared.append((ours.contributions[:, 0], theirs.detach()))
        return [np.zeros(1)]

    predictor = predictor_of(network, "a", mode)
    list(predictor.run(both, [make_record(7, 7), make_record(4, 4)], 1))  # type: ignore[arg-type]
    for ours, theirs in compared:
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=1e-3, atol=1e-5)
