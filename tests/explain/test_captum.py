"""Integrated gradients against captum's (Kokhlikyan et al., 2020), where that is installed.

Its ``IntegratedGradients`` gets a function of the atoms' vectors, not the network: through a layer that runs
several times in a forward (``LayerIntegratedGradients``) it takes the last call's output for all of them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from moleblend_plugin.explain.gradients import integrated_gradients
from moleblend_plugin.explain.masking import AtomVectors, NetInput, copies
from tests.explain.conftest import predictor_of, transformer
from tests.molecules import make_record

attr = pytest.importorskip("captum.attr")


@pytest.mark.parametrize("steps", [8, 32])
def test_the_same_as_captum(steps: int) -> None:
    network = transformer(outputs=1).eval()
    vectors = AtomVectors.of(network)
    pairs = []

    def both(net_input: NetInput) -> list[np.ndarray]:
        ours = integrated_gradients(network, net_input, first=steps, most=steps)
        with torch.inference_mode(False), torch.enable_grad():
            molecule = copies(net_input, 1)
            end = vectors.read(network, molecule)
            hidden = torch.ones(molecule["atom_codes"].shape[:2], dtype=torch.bool)

            def outputs(points: Tensor) -> Tensor:
                with vectors.changed(lambda _given: points):
                    found: Tensor = network(**copies(molecule, len(points)))[:, 0]
                return found

            theirs = attr.IntegratedGradients(outputs, multiply_by_inputs=True).attribute(
                end, vectors.mask(end, hidden), n_steps=steps, method="gausslegendre"
            )
        pairs.append((ours.contributions[:, 0], theirs[0, 1:].sum(-1).detach()))
        return [np.zeros(1)]

    list(predictor_of(network, "a").run(both, [make_record(7, 7), make_record(4, 4)], 1))  # type: ignore[arg-type]
    for ours, theirs in pairs:
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=1e-3, atol=1e-5)
