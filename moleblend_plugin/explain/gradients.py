"""Contributions of atoms by integrated gradients (Sundararajan, Taly and Yan, ICML 2017).

The path is a straight line from the masked molecule to the molecule. In the masked molecule all atoms are
masked, and all relations hidden (``explain.masking``); what is left is the number of atoms. Both sides of the
input go along the path: the vectors of the atoms, and the biases that relations put on attention, 2D and 3D
alike. What a pair's bias adds counts half for each of its atoms.

The integral is a Gauss-Legendre quadrature, whose number of steps doubles until contributions sum to output
minus baseline. S steps, N atoms, T tokens, H heads, D width, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from moleblend_plugin.explain.masking import AtomInputs, NetInput, copies
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


class Seen(NamedTuple):
    """What the layers of a network see of molecules.

    Attributes:
        vectors: of atoms and tokens before them, [S, T, D].
        biases: of pairs, [S, H, N, N]; ``None`` where they stay as they are.
    """

    vectors: Tensor
    biases: Tensor | None

    def between(self, end: Seen, share: Tensor) -> Seen:
        """Points on the way to ``end`` by their share [S] of it, each a leaf with a gradient."""

        def on_way(begin: Tensor, last: Tensor) -> Tensor:
            return torch.lerp(begin, last, share.view(-1, *[1] * (begin.dim() - 1))).requires_grad_()

        biases = None
        if self.biases is not None and end.biases is not None:
            biases = on_way(self.biases, end.biases)
        return Seen(on_way(self.vectors, end.vectors), biases)


def integrated_gradients(
    network: nn.Module,
    net_input: NetInput,
    with_relations: bool = True,
    first: int = FIRST_STEPS,
    most: int = MOST_STEPS,
) -> Integrated:
    """Contributions of one molecule's atoms, in units of the network's outputs.

    Args:
        network: in evaluation mode; its forward gives [B, L].
        net_input: the molecule, a batch of one.
        with_relations: whether relations go along the path; otherwise they are the molecule's all along, and
            its skeleton is part of the baseline.
        first: steps that are tried first.
        most: steps after which it ends, whether the sum is right or not (:func:`missing`).
    """
    inputs = AtomInputs.of(network)
    with torch.inference_mode(False):
        molecule = copies(net_input, 1)
        with torch.no_grad():
            end = seen_by(network, inputs, molecule)
            hidden = torch.ones_like(molecule["degree"], dtype=torch.bool)
            biases = end.biases if with_relations else None
            start = Seen(
                inputs.mask(end.vectors, hidden), None if biases is None else torch.zeros_like(biases)
            )
            outputs = network(**molecule)[0].cpu().double()
            with showing(inputs, start):
                baseline = network(**molecule)[0].cpu().double()
        steps = first
        while True:
            found = Integrated(
                _integral(network, inputs, molecule, (start, end), steps), outputs, baseline, steps
            )
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


def seen_by(network: nn.Module, inputs: AtomInputs, molecule: Mapping[str, Tensor]) -> Seen:
    """What the layers see of a molecule, S = 1."""
    given: list[Tensor] = []

    def keep(output: Tensor) -> Tensor:
        given.append(output.detach())
        return output

    with ExitStack() as kept:
        if inputs.biases is not None:
            kept.enter_context(inputs.biases.changed(keep))  # they are computed first
        kept.enter_context(inputs.vectors.changed(keep))
        network(**molecule)
    return Seen(given[-1], given[0] if inputs.biases is not None else None)


@contextmanager
def showing(inputs: AtomInputs, seen: Seen) -> Iterator[None]:
    """A block in which the layers see something else than the network's input."""

    def instead(value: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda _given: value

    with ExitStack() as shown:
        shown.enter_context(inputs.vectors.changed(instead(seen.vectors)))
        if inputs.biases is not None and seen.biases is not None:
            shown.enter_context(inputs.biases.changed(instead(seen.biases)))
        yield


def _integral(
    network: nn.Module, inputs: AtomInputs, molecule: NetInput, ends: tuple[Seen, Seen], steps: int
) -> Tensor:
    """Integrated gradients of every atom, fp64 [N, L]."""
    start, end = ends
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    share = torch.from_numpy(((nodes + 1) / 2).astype(np.float32)).to(end.vectors.device)  # of the way
    weight = torch.from_numpy(weights / 2)  # fp64, which not every device has
    atoms, parts = molecule["degree"].shape[1], []
    size = max(1, PAIRS // atoms**2)
    for first in range(0, steps, size):
        points = start.between(end, share[first : first + size])
        leaves = [leaf for leaf in points if leaf is not None]
        with torch.enable_grad(), showing(inputs, points):
            outputs = network(**copies(molecule, len(points.vectors)))
            columns = outputs.sum(0).unbind()  # a step's outputs hang on its own point alone
        by_label = []
        for column in columns:
            vectors, *biases = torch.autograd.grad(column, leaves, retain_graph=True)
            along = (vectors * (end.vectors - start.vectors)).sum(-1)[:, inputs.before :]  # [S, N]
            if biases and start.biases is not None and end.biases is not None:
                pairs = (biases[0] * (end.biases - start.biases)).sum(1)  # [S, N, N]
                along = along + (pairs.sum(1) + pairs.sum(2)) / 2
            by_label.append(along)
        parts.append(torch.stack(by_label, -1).cpu().double())
    return torch.einsum("s,snl->nl", weight, torch.cat(parts))
