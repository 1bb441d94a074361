"""What a network is shown of an atom that is masked.

Pretraining hides what two atoms are to each other (``data.samples.blend``): a pair shows one relation, and
nothing stands for those that are hidden, no bias on their attention. Of a masked atom all relations are
hidden. No atom itself is ever hidden there, so a vector that stands for none has to be chosen. It is what the
network makes of an atom without any feature: the embedding norm of a vector of zeros, or zeros in a network
that has no such norm. Padding would not do: an atom that is padding is no atom, its molecule a smaller one,
and a molecule of padding alone has no outputs (0 / 0 in the mean over atoms).

B molecules, N atoms, T tokens, H heads, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.blend.moleblend import MoleBlendEncoder
from moleblend_plugin.models.parts.atom_table import AtomTable

NetInput = Mapping[str, Tensor]
"""One batch, by the names of ``schema.INPUT_FIELDS`` and ``HEAD_FIELDS``."""


@dataclass(frozen=True, slots=True)
class ModuleOutput:
    """What a module of a network gives, to be read or replaced in a forward."""

    module: nn.Module

    @contextmanager
    def changed(self, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """A block in which the output is what ``change`` makes of it."""
        hook = self.module.register_forward_hook(lambda _module, _inputs, output: change(output))
        try:
            yield
        finally:
            hook.remove()


@dataclass(frozen=True, slots=True)
class AtomInputs:
    """Where a network's atoms, and what they are to each other, are numbers for the last time before layers.

    Attributes:
        vectors: gives [B, T, D], a vector per atom.
        before: tokens before the first atom, T - N.
        masked: the vector [D] of a masked atom.
        biases: gives [B, H, N, N], what the relations of a pair add to its attention; ``None`` in a network
            that has no such place, whose relations cannot be hidden.
    """

    vectors: ModuleOutput
    before: int
    masked: Tensor
    biases: ModuleOutput | None = None

    @classmethod
    def of(cls, network: nn.Module) -> AtomInputs:
        """Those of a network.

        Raises:
            MoleblendError: it has no vectors of atoms.
        """
        if isinstance(network, MoleBlendEncoder):
            norm = network.encoder.norm
            return cls(ModuleOutput(norm), 1, norm.bias.detach(), ModuleOutput(network.bias))
        tables = [module for module in network.modules() if isinstance(module, AtomTable)]
        if len(tables) != 1:
            raise MoleblendError(
                f"{type(network).__name__} cannot be explained: it has {len(tables)} tables of atoms instead "
                "of one (moleblend_plugin.models.parts.atom_table.AtomTable)"
            )
        return cls(ModuleOutput(tables[0]), 0, torch.zeros_like(tables[0].features.weight[0]))

    def mask(self, vectors: Tensor, hidden: Tensor) -> Tensor:
        """``vectors`` [B, T, D] with those of ``hidden`` atoms, bool [B, N], masked."""
        tokens = nn.functional.pad(hidden, (self.before, 0))
        return torch.where(tokens[..., None], self.masked.to(vectors.dtype), vectors)


def copies(net_input: NetInput, count: int) -> dict[str, Tensor]:
    """One molecule ``count`` times, as tensors that autograd takes."""
    return {name: value.expand(count, *value.shape[1:]).clone() for name, value in net_input.items()}


def hide_relations(net_input: dict[str, Tensor], hidden: Tensor) -> None:
    """Hide, in place, what ``hidden`` atoms, bool [B, N], are to all others: no bit of their pairs is set."""
    pairs = hidden[:, :, None] | hidden[:, None, :]
    net_input["pair_shown"].masked_fill_(pairs, 0)
