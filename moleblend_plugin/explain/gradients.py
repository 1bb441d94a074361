"""Contributions of atoms by integrated gradients (Sundararajan, Taly and Yan, ICML 2017).

The path is a straight line from the masked molecule, all of whose atoms are masked (``explain.masking``), to
the molecule. Relations are the molecule's all along the path: they are codes, with nothing half-way between
shown and hidden. The baseline therefore is the bare skeleton: how the atoms are connected and where they are,
not what they are; and what contributions sum to is what the atoms' identities add to it.

The integral is a Gauss-Legendre quadrature, whose number of steps doubles until contributions sum to output
minus baseline. S steps, N atoms, T tokens, D width, L labels.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from moleblend_plugin.explain.masking import AtomVectors, NetInput, copies
from moleblend_plugin.inference.stream import PAIRS

FIRST_STEPS: Final = 16
MOST_STEPS: Final = 512
TOLERANCE: Final = 0.01
"""Largest share of output minus baseline by which the sum of contributions may miss it."""

_ROUNDING: Final = 1e-4
"""The same as a share of the contributions' absolute sum, where output and baseline are almost equal."""


class Integrated(NamedTuple):
    """Contributions by integrated gradients, all fp64.

    Attributes:
        contributions: [N, L].
        outputs: [L], of the molecule.
        baseline: [L], of the masked molecule.
        steps: of the quadrature.
    """

    contributions: Tensor
    outputs: Tensor
    baseline: Tensor
    steps: int


def integrated_gradients(
    network: nn.Module, net_input: NetInput, first: int = FIRST_STEPS, most: int = MOST_STEPS
) -> Integrated:
    """Contributions of one molecule's atoms, in units of the network's outputs.

    Args:
        network: in evaluation mode; its forward gives [B, L].
        net_input: the molecule, a batch of one.
        first: steps that are tried first.
        most: steps after which it ends, whether the sum is right or not (:func:`missing`).
    """
    vectors = AtomVectors.of(network)
    with torch.inference_mode(False):
        molecule = copies(net_input, 1)
        with torch.no_grad():
            end = vectors.read(network, molecule)
            outputs = network(**molecule)[0].cpu().double()
            hidden = torch.ones(molecule["atom_codes"].shape[:2], dtype=torch.bool, device=end.device)
            start = vectors.mask(end, hidden)
            with vectors.changed(lambda _given: start):
                baseline = network(**molecule)[0].cpu().double()
        steps = first
        while True:
            by_token = _integral(network, vectors, molecule, (start, end), steps)
            found = Integrated(by_token[vectors.before :], outputs, baseline, steps)
            if steps >= most or bool((missing(*found[:3]) <= TOLERANCE).all()):
                return found
            steps = min(2 * steps, most)


def missing(contributions: Tensor, outputs: Tensor, baseline: Tensor) -> Tensor:
    """By how much contributions [N, L] miss output minus baseline, as a share of it: [L].

    Where output and baseline are almost equal: as a share of a hundredth of the absolute contributions.
    """
    wanted = outputs - baseline
    rounding = _ROUNDING / TOLERANCE * contributions.abs().sum(0)
    scale = torch.maximum(wanted.abs(), rounding).clamp(min=torch.finfo(torch.float32).tiny)
    return (contributions.sum(0) - wanted).abs() / scale


def _integral(
    network: nn.Module, vectors: AtomVectors, molecule: NetInput, ends: tuple[Tensor, Tensor], steps: int
) -> Tensor:
    """Integrated gradients of every token, fp64 [T, L]."""
    start, way = ends[0], ends[1] - ends[0]
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    share = torch.from_numpy(((nodes + 1) / 2).astype(np.float32)).to(way.device)  # of the way
    weight = torch.from_numpy(weights / 2)  # fp64, which not every device has
    atoms, parts = molecule["atom_codes"].shape[1], []
    for part in torch.arange(steps, device=way.device).split(max(1, PAIRS // atoms**2)):
        points = (start + share[part, None, None] * way).requires_grad_()
        with torch.enable_grad(), vectors.changed(lambda _given, points=points: points):  # type: ignore[misc]
            outputs = network(**copies(molecule, len(part)))
            columns = outputs.sum(0).unbind()  # a step's outputs hang on its own point alone
        slopes = [torch.autograd.grad(column, points, retain_graph=True)[0] for column in columns]
        along = [(slope * way).sum(-1) for slope in slopes]  # each [S, T]
        parts.append(torch.stack(along, -1).cpu().double())
    return torch.einsum("s,stl->tl", weight, torch.cat(parts))
