"""The fine-tuning network: the encoder of pretraining under a fresh head (method 5).

B molecules, N atoms, D width, L labels per molecule: one output each, but K for one of K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, Unpack

import torch
from torch import Tensor, nn

from moleblend_plugin.errors import MoleblendError, check_rates
from moleblend_plugin.label_kinds import ColumnKind, each_kind
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.blend.heads import PropertyHead, Readout
from moleblend_plugin.models.blend.moleblend import MoleBlendEncoder, init_weights
from moleblend_plugin.names import parse_names
from moleblend_plugin.schema import InputFields, LabelKind

MoleculeFeaturizers = Literal["none", "descriptors", "ecfp", "both"]
"""What a head reads of a molecule beside the encoder."""

FRESH = ("head.", "target_")
"""Prefixes of what belongs to the labels; every other weight has pretraining's name."""

ENCODER = ("atoms.", "gaussians.", "bias.", "encoder.")
"""Prefixes of the Transformer's weights."""


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """The head of a property run, and what of the encoder is trained.

    Attributes:
        readout: cls (graph token), mean or sum (of atomic outputs), or attention (learned weights over
            atoms).
        head_dropout: dropout of the head ("pooler dropout" elsewhere).
        freeze_layers: -1 trains everything; 0 keeps embeddings and relations as they are, N also the first
            N layers. What is frozen also runs without dropout.
        molecule_featurizers: what the head reads beside the encoder: none, descriptors (RDKit's, scaled; of
            stores built with --descriptors), ecfp (ECFP4 counts, as log(1 + count); --ecfp), or both.
        descriptors_columns: columns of the store with commas between them that the head reads too, scaled,
            such as temperature and pH; they are no labels (default: none).

    Raises:
        MoleblendError: an impossible value.
    """

    readout: Readout = "cls"
    head_dropout: float = 0.0
    freeze_layers: int = -1
    molecule_featurizers: MoleculeFeaturizers = "none"
    descriptors_columns: str = ""

    @property
    def extra_descriptors(self) -> tuple[str, ...]:
        """Names of the columns that the head reads."""
        return parse_names(self.descriptors_columns)

    @property
    def featurizers(self) -> tuple[str, ...]:
        """What the head reads, by the name that records and the metadata of stores have for it."""
        chosen = self.molecule_featurizers
        return {"none": (), "both": ("descriptors", "ecfp")}.get(chosen, (chosen,))

    def __post_init__(self) -> None:
        check_rates(self, "head_dropout")
        if self.freeze_layers < -1:
            raise MoleblendError(f"--freeze-layers {self.freeze_layers}: give -1 (nothing), 0, or a number")


@dataclass(frozen=True, slots=True)
class PropertyConfig:
    """What a property network predicts.

    Attributes:
        outputs: L, number of labels; where the kind is "multiclass" K, the classes of its one label.
        kind: "classification", "multiclass", "regression", or "mixed".
        head: readout, dropout, freezing.
        inputs: F, how many numbers the head reads beside the encoder.
        kinds: of every label, L of them, where they are mixed.
    """

    outputs: int
    kind: LabelKind
    head: HeadConfig = field(default_factory=HeadConfig)
    inputs: int = 0
    kinds: tuple[ColumnKind, ...] = ()

    @property
    def column_kinds(self) -> tuple[ColumnKind, ...]:
        """The kind of every label."""
        if self.kind == "multiclass":
            return ("multiclass",)
        return each_kind(self.kinds or self.kind, self.outputs)


class PropertyOutputs(nn.Module):
    """What every network over labels shares: the units of its outputs.

    The mean and standard deviation of the training labels are buffers, so the weights alone give
    predictions in the labels' own units; columns of classes leave them at 0 and 1.
    """

    ENCODER: ClassVar[tuple[str, ...]] = ENCODER
    """Prefixes of the weights that a pretraining has too."""

    LAYERS: ClassVar[str] = "encoder.layers"
    """Where its layers are, from the lowest on."""

    property: PropertyConfig
    target_mean: Tensor  # fp32 [L]
    target_std: Tensor  # fp32 [L]
    is_class: Tensor  # bool [L]
    encoder_held = False
    """Whether all below the head stays as it is (:meth:`hold_encoder`)."""

    def add_outputs(self, property: PropertyConfig) -> None:
        """Build the buffers; call it in ``__init__``."""
        self.property = property
        self.register_buffer("target_mean", torch.zeros(property.outputs))
        self.register_buffer("target_std", torch.ones(property.outputs))
        is_class = torch.tensor([kind == "classification" for kind in property.column_kinds])
        self.register_buffer("is_class", is_class, persistent=False)

    def set_target_scale(self, mean: Tensor, std: Tensor) -> None:
        """Take over mean and standard deviation [L] of the training labels."""
        self.target_mean.copy_(mean)
        self.target_std.copy_(std)

    def predict(self, **net_input: Unpack[InputFields[Tensor]]) -> Tensor:
        """fp32 [B, L]: probabilities, or values in the labels' own units; [B, K] of K classes."""
        return self.in_units(self(**net_input))

    def in_units(self, outputs: Tensor) -> Tensor:
        """What :meth:`predict` makes of :meth:`forward`'s outputs [B, L]."""
        if self.property.kind == "classification":
            return torch.sigmoid(outputs.float())
        if self.property.kind == "multiclass":
            return torch.softmax(outputs.float(), -1)
        values = outputs.float() * self.target_std + self.target_mean
        if self.property.kind == "mixed":
            return torch.where(self.is_class, torch.sigmoid(outputs.float()), values)
        return values

    def layer_depths(self) -> Iterator[tuple[nn.Parameter, int]]:
        """Every parameter with its depth from the top: 0 the head, then the layers, then all below them."""
        layers = self.get_submodule(self.LAYERS)
        assert isinstance(layers, nn.ModuleList)
        below = f"{self.LAYERS}."
        for name, parameter in self.named_parameters():
            if name.startswith("head."):
                yield parameter, 0
            elif name.startswith(below):
                yield parameter, len(layers) - int(name.removeprefix(below).split(".")[0])
            else:
                yield parameter, len(layers) + 1

    def hold_encoder(self, held: bool) -> None:
        """Train the head alone, or all again; what is held runs without dropout, as what is frozen does.

        Weights below the head get no gradient then, but where processes exchange gradients, which wait for
        all of them: there the caller drops them (:meth:`drop_held_gradients`).
        """
        self.encoder_held = held
        self.train(self.training)

    def drop_held_gradients(self) -> None:
        """Leave no gradient to what is held: an optimiser passes over it, with its decay and its moments."""
        if self.encoder_held:
            for parameter, depth in self.layer_depths():
                if depth > 0:
                    parameter.grad = None

    def train(self, mode: bool = True) -> Self:
        """Switch dropout; what is held stays without."""
        super().train(mode)
        for name, module in self.named_children():
            if self.encoder_held and not name.startswith("head"):
                module.eval()
        return self

    def encoder_gradients(self) -> torch.set_grad_enabled:
        """The block in which the encoder computes."""
        alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        return torch.set_grad_enabled(torch.is_grad_enabled() and not (self.encoder_held and alone))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert, but keep the scale of the labels in fp32: half would round it."""
        kept = {name: getattr(self, name) for name in ("target_mean", "target_std")}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in kept.items():
            setattr(self, name, value.to(getattr(self, name).device))
        return self


class PropertyNet(PropertyOutputs, MoleBlendEncoder):
    """Encoder and property head.

    Args:
        config: sizes and choices of the encoder.
        property: what is predicted.

    Raises:
        MoleblendError: more frozen layers than there are.
    """

    def __init__(self, config: ModelConfig, property: PropertyConfig) -> None:
        super().__init__(config)
        head = property.head
        if head.freeze_layers > config.encoder_layers:
            raise MoleblendError(
                f"--freeze-layers {head.freeze_layers}: the encoder has {config.encoder_layers} layers"
            )
        self.add_outputs(property)
        sizes = (config.encoder_embed_dim, property.outputs)
        self.head = PropertyHead(*sizes, head.readout, head.head_dropout, property.inputs)
        self.head.apply(init_weights)
        for module in self._frozen():
            module.requires_grad_(False)

    def forward(self, head_inputs: Tensor | None = None, **net_input: Unpack[InputFields[Tensor]]) -> Tensor:
        """[B, L]: logits, or standardised values. Arguments are rows of the schema's tables."""
        with self.encoder_gradients():
            reads_graph = self.head.readout == "cls"
            encoded = self.represent_graph(**net_input) if reads_graph else self.represent(**net_input)
        outputs: Tensor = self.head(encoded.states, encoded.real, head_inputs)
        return outputs

    def train(self, mode: bool = True) -> Self:
        """Switch dropout; what is frozen stays without."""
        super().train(mode)
        for module in self._frozen():
            if isinstance(module, nn.Module):
                module.eval()
        return self

    def _frozen(self) -> list[nn.Module | nn.Parameter]:
        layers = self.property.head.freeze_layers
        if layers < 0:
            return []
        below = [self.atoms, self.gaussians, self.bias, self.encoder.norm, self.encoder.dropout]
        tokens = [self.encoder.graph_token, self.encoder.graph_bias]
        return [*below, *tokens, *self.encoder.layers[:layers]]


def encoder_part(state: Mapping[str, Any], modules: tuple[str, ...] = ENCODER) -> dict[str, Any]:
    """What of a state belongs to the encoder, whose weights begin with ``modules``."""
    return {name: value for name, value in state.items() if name.startswith(modules)}


def encoder_mismatch(
    own: Mapping[str, Any], given: Mapping[str, Any], modules: tuple[str, ...] = ENCODER
) -> tuple[list[str], list[str]]:
    """Names of encoder weights that only the network has, and that only the checkpoint has.

    Args:
        own: a network's state.
        given: a checkpoint's weights, of pretraining or of a property run.
        modules: how the names of the encoder's weights begin.
    """
    mine, others = encoder_part(own, modules), encoder_part(given, modules)
    return [name for name in mine if name not in given], [name for name in others if name not in own]
