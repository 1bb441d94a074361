"""The pretraining network: relations -> encoder -> heads.

B molecules, N atoms, T = N + 1 tokens (graph token first), P path hops, H heads, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Unpack

import torch
from torch import Tensor, nn

from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.blend.encoder import AtomEmbedding, Attention, Encoder, EncoderLayer
from moleblend_plugin.models.blend.heads import (
    BilinearPairs,
    DenoiseHead,
    DirectionPairs,
    DistancePairs,
    MoleculeHead,
)
from moleblend_plugin.models.blend.relations import BlendedBias, Distances, GaussianDistances, Relations
from moleblend_plugin.models.parts import kernels
from moleblend_plugin.models.parts.kernels import on_cpu, packs
from moleblend_plugin.schema import PAIRS_SHOWN, PATH_HOPS, InputFields, Predictions, Shown
from moleblend_plugin.vocab import EDGE_CLASSES, SPD_CLASSES

if TYPE_CHECKING:
    from moleblend_plugin.models.packed.places import PackedBias, Places


class Encoded(NamedTuple):
    """What the heads read. ``pair_bias`` is the blended bias without the graph token, -inf at padded keys."""

    states: Tensor  # [B, T, D]
    pair_bias: Tensor  # [B, H, N, N]
    unit: Tensor  # fp32 [B, N, N, 3]
    real: Tensor  # bool [B, N]


class Represented(NamedTuple):
    """What heads of molecules read."""

    states: Tensor  # [B, T, D], or [B, 1, D] where the graph token is all that they read
    real: Tensor  # bool [B, N]


def geometry(coords: Tensor) -> tuple[Tensor, Tensor]:
    """Distances fp32 [B, N, N] in Angstrom and unit vectors ``(x_j - x_i) / (d + 1e-5)`` [B, N, N, 3]."""
    with torch.autocast(coords.device.type, enabled=False):
        position = coords.float()
        difference = position[:, None, :, :] - position[:, :, None, :]
        distance = difference.norm(dim=-1)
        return distance, difference / (distance[..., None] + 1e-5)


def encoder_layers(config: ModelConfig) -> Iterator[EncoderLayer]:
    """The layers from the first on, each with its share of stochastic depth."""
    width, dropout = config.encoder_embed_dim, config.dropout
    for drop_path in torch.linspace(0, config.drop_path, config.encoder_layers).tolist():
        attention = Attention(width, config.encoder_attention_heads, config.attention_dropout)
        sizes = (width, config.encoder_ffn_embed_dim)
        yield EncoderLayer(attention, *sizes, dropout, config.activation_dropout, drop_path)


class MoleBlendEncoder(nn.Module):
    """Everything below the heads; pretraining and fine-tuning share it.

    Args:
        config: sizes and choices.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, heads = config.encoder_embed_dim, config.encoder_attention_heads
        self.atoms = AtomEmbedding(width, config.gaussian_kernels)
        self.gaussians = GaussianDistances(config.gaussian_kernels, config.gaussian_init)
        self.bias = BlendedBias(heads, config.gaussian_kernels)
        self.encoder = Encoder(
            encoder_layers(config), width, heads, config.dropout, config.checkpoint_activations
        )
        self.apply(init_weights)

    def encode(self, **net_input: Unpack[InputFields[Tensor]]) -> Encoded:
        """All that heads read; arguments are the rows of ``schema.INPUT_FIELDS``."""
        if not self._packs(net_input):
            padded = self._padded(**net_input)
            return padded._replace(
                states=self.encoder(padded.states, self.encoder.token_bias(padded.pair_bias))
            )
        tokens, bias = self._packed(**net_input)
        _, unit = geometry(net_input["coords"])
        return Encoded(
            bias.places.unpacked(self.encoder(tokens, bias)), bias.unpacked(), unit, bias.places.real
        )

    def represent(self, **net_input: Unpack[InputFields[Tensor]]) -> Represented:
        """The states alone, which cost less."""
        if not self._packs(net_input):
            encoded = self.encode(**net_input)
            return Represented(encoded.states, encoded.real)
        tokens, bias = self._packed(**net_input)
        return Represented(bias.places.unpacked(self.encoder(tokens, bias)), bias.places.real)

    def represent_graph(self, **net_input: Unpack[InputFields[Tensor]]) -> Represented:
        """The same for heads that read the graph token alone: of a prediction, states are [B, 1, D]."""
        if not self._predicts(net_input):
            return self.represent(**net_input)
        if self._packs(net_input):
            tokens, bias = self._packed(**net_input)
            real = bias.places.real
            return Represented(self.encoder.graph_state(tokens, bias, real), real)
        padded = self._padded(**net_input)
        bias_of_tokens = self.encoder.token_bias(padded.pair_bias)
        return Represented(self.encoder.graph_state(padded.states, bias_of_tokens, padded.real), padded.real)

    def _predicts(self, net_input: InputFields[Tensor]) -> bool:
        """Whether what nobody reads can be left out: on a CPU, where nothing hooks into the network."""
        return kernels.predicts(self, *(part for part in net_input.values() if isinstance(part, Tensor)))

    def _packs(self, net_input: InputFields[Tensor]) -> bool:
        config = self.config
        sizes = (config.encoder_embed_dim, config.encoder_attention_heads)
        tensors = [part for part in net_input.values() if isinstance(part, Tensor)]
        return self.bias.packs() and packs(self, *sizes, *tensors)

    def _packed(
        self,
        atom_codes: Tensor,
        degree: Tensor,
        spd: Tensor,
        bond_path: Tensor,
        coords: Tensor,
        pair_shown: Tensor,
        atom_shown: Tensor,
    ) -> tuple[Tensor, PackedBias]:
        """Inputs of the layers without padding: states [S, D], and what is added to the logits of pairs."""
        packed = kernels.packed()
        places: Places = packed.Places.of(atom_codes[..., 0] > 0)
        codes, degree, atom_shown = (places.of_atoms(part) for part in (atom_codes, degree, atom_shown))
        one = self.gaussians(coords.new_zeros(1, 1, 1, dtype=torch.float32), codes[None, :1, 0])
        distances, sums = None, None
        if not _unseen(PAIRS_SHOWN["3d"], pair_shown, atom_shown):
            distances = Distances(places.of_atoms(coords).float(), *self.gaussians.packed(codes[:, 0]))
            seen = (atom_shown & int(Shown.DISTANCE)).ne(0).to(torch.uint8)
            sums = packed.feature_sums(places, *distances, seen)
        relations = Relations(codes[None, :, 0], spd, bond_path, one)
        bias: PackedBias = self.bias.packed(places, relations, pair_shown, self.encoder.graph_bias, distances)
        atoms = self.atoms.packed(codes, degree, atom_shown, sums, one)
        return self.encoder.embed_packed(atoms, places), bias

    def _padded(
        self,
        atom_codes: Tensor,
        degree: Tensor,
        spd: Tensor,
        bond_path: Tensor,
        coords: Tensor,
        pair_shown: Tensor,
        atom_shown: Tensor,
    ) -> Encoded:
        """The same of a batch as it is; ``states`` are the inputs of the layers."""
        number, real = atom_codes[..., 0], atom_codes[..., 0] > 0
        distance, unit = geometry(coords)
        if _unseen(PAIRS_SHOWN["3d"], pair_shown, atom_shown):
            gaussians = self.gaussians(distance[:1, :1, :1], number[:1, :1])
        else:
            gaussians = self.gaussians(distance, number)
        if _unseen(PAIRS_SHOWN["2d"], pair_shown):
            spd, bond_path = spd[:1, :1, :1], bond_path[:1, :1, :1]
        relations = Relations(number, spd, bond_path, gaussians)
        pair_bias = self.bias(relations, pair_shown).masked_fill(~real[:, None, None, :], -torch.inf)
        states = self.encoder.embed(self.atoms(atom_codes, degree, gaussians, atom_shown))
        return Encoded(states, pair_bias, unit, real)


def _unseen(bits: Shown, *shown: Tensor) -> bool:
    """Whether no pair and no atom shows any of ``bits``: then one pair stands for all, at a third less time.

    Its biases are computed and masked as ever, so that every weight has a gradient (of 0), which DDP waits
    for.
    """
    return on_cpu(*shown) and not any((part & int(bits)).any() for part in shown)


class MoleBlend(MoleBlendEncoder):
    """Blend-then-predict: the encoder with its four pretraining heads, and those of molecules where wanted.

    Args:
        config: sizes and choices.
        descriptors: F, how many descriptors are learned; 0 builds no such head.
        ecfp: E, how many bits of ECFP are learned; 0 builds no such head.
        some_whole: whether batches hold molecules that are not blended (``BlendConfig.whole_share``): heads
            of pairs and atoms, which cost most, are not run on them.
    """

    def __init__(
        self, config: ModelConfig, descriptors: int = 0, ecfp: int = 0, some_whole: bool = False
    ) -> None:
        super().__init__(config)
        width, hidden = config.encoder_embed_dim, config.pair_hidden_dim
        self.spd_head = BilinearPairs(width, hidden, SPD_CLASSES.size)
        self.edge_head = BilinearPairs(width, hidden, PATH_HOPS * EDGE_CLASSES.size)
        self.pair_head: BilinearPairs = (
            DirectionPairs(width, hidden)
            if config.pair_target == "direction"
            else DistancePairs(width, hidden, config.distance_bins)
        )
        self.denoise_head = DenoiseHead(
            width, config.encoder_attention_heads, config.attention_dropout, config.denoise_form
        )
        for head in (self.spd_head, self.edge_head, self.pair_head, self.denoise_head):
            head.apply(init_weights)
        self.descriptor_head = MoleculeHead(width, descriptors) if descriptors else None
        self.some_whole = some_whole
        self.ecfp_head = MoleculeHead(width, ecfp) if ecfp else None
        for added in (self.descriptor_head, self.ecfp_head):
            if added is not None:
                added.apply(init_weights)

    def forward(self, **net_input: Unpack[InputFields[Tensor]]) -> Predictions:
        """Predictions for a batch; arguments are the rows of ``schema.INPUT_FIELDS``."""
        encoded = whole = self.encode(**net_input)
        rows = blended_rows(net_input["pair_shown"]) if self.some_whole else None
        if rows is not None:
            encoded = Encoded(*(part[rows] for part in whole))
        atoms = encoded.states[:, 1:]  # [B, N, D]
        pairs = self.pair_head(atoms)
        directed = self.config.pair_target == "direction"
        return Predictions(
            spd=self.spd_head(atoms),
            edge=self.edge_head(atoms).unflatten(-1, (PATH_HOPS, EDGE_CLASSES.size)),
            distance=None if directed else pairs,
            direction=pairs if directed else None,
            noise=self.denoise_head(atoms, encoded.pair_bias, encoded.unit),
            descriptors=self.descriptor_head(whole.states, whole.real) if self.descriptor_head else None,
            ecfp=self.ecfp_head(whole.states, whole.real) if self.ecfp_head else None,
            rows=rows,
        )


def blended_rows(pair_shown: Tensor) -> Tensor:
    """Numbers of the molecules whose pairs show one relation at most, int64, of ``pair_shown`` [B, N, N]."""
    one = (pair_shown & (pair_shown - 1)).eq(0)
    return one.flatten(1).all(1).nonzero()[:, 0]


def init_weights(module: nn.Module) -> None:
    """N(0, 0.02) for linear maps and tables, zero for biases and padding rows; Gaussians keep their own."""
    if isinstance(module, GaussianDistances):
        module.reset_parameters()  # its tables were visited before it
    elif isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
