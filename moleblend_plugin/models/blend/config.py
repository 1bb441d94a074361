"""Sizes and choices of the network, and the named presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from moleblend_plugin.errors import MoleblendError, check_rates, check_sizes

PairTarget = Literal["distance", "direction"]
DenoiseForm = Literal["equivariant", "published"]
GaussianInit = Literal["intended", "published"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Network of method 3; the defaults are the published size and its intended behaviour.

    Attributes:
        encoder_layers: number of Transformer layers.
        encoder_embed_dim: D, width of atom states.
        encoder_ffn_embed_dim: hidden width of the feed-forward blocks.
        encoder_attention_heads: H, attention heads; divides D.
        gaussian_kernels: K, kernels of the distance features.
        pair_hidden_dim: width of each side of a pair feature.
        dropout: on the embedding and both residual branches.
        attention_dropout: on attention weights, the denoising head's included.
        activation_dropout: inside the feed-forward blocks.
        drop_path: stochastic depth of the last layer; earlier layers rise linearly from 0.
        pair_target: "distance" (symmetric, invariant; ours) or "direction" (the published head).
        distance_bins: classes of the distance head.
        distance_max: upper end of the distance bins in Angstrom.
        denoise_form: "equivariant" (one projection for the three axes) or "published" (one per axis).
        gaussian_init: "intended" (means and widths U(0, 3), scale 1, shift 0) or "published", where
            N(0, 0.02) overwrites them (method 6.6).
        checkpoint_activations: keep the input of each layer only and compute the rest again for the
            gradients: less memory, a longer step, the same numbers.

    Raises:
        MoleblendError: a size that cannot be built.
    """

    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 768
    encoder_attention_heads: int = 32
    gaussian_kernels: int = 128
    pair_hidden_dim: int = 32
    dropout: float = 0.0
    attention_dropout: float = 0.1
    activation_dropout: float = 0.1
    drop_path: float = 0.1
    pair_target: PairTarget = "distance"
    distance_bins: int = 64
    distance_max: float = 20.0
    denoise_form: DenoiseForm = "equivariant"
    gaussian_init: GaussianInit = "intended"
    checkpoint_activations: bool = False

    def __post_init__(self) -> None:
        if self.distance_bins < 2 or not self.distance_max > 0:
            raise MoleblendError("--distance-bins needs 2 or more, --distance-max more than 0 (Angstrom)")
        check_sizes(self)
        check_rates(self, "dropout", "attention_dropout", "activation_dropout", "drop_path")
        if self.encoder_embed_dim % self.encoder_attention_heads:
            raise MoleblendError(
                f"--encoder-embed-dim {self.encoder_embed_dim} is not a multiple of"
                f" --encoder-attention-heads {self.encoder_attention_heads}; change one of them"
            )


PRESETS: Final[dict[str, ModelConfig]] = {
    "moleblend_tiny": ModelConfig(
        encoder_layers=4,
        encoder_embed_dim=128,
        encoder_ffn_embed_dim=256,
        encoder_attention_heads=8,
        gaussian_kernels=64,
        drop_path=0.0,
    ),
    "moleblend_small": ModelConfig(
        encoder_layers=6,
        encoder_embed_dim=256,
        encoder_ffn_embed_dim=512,
        encoder_attention_heads=16,
        gaussian_kernels=64,
    ),
    "moleblend_base": ModelConfig(),
}
"""Named sizes (``--arch``), of 0.8, 3.7 and 45.0 M parameters; ``moleblend_base`` is the published one, whose
authors count 50.1 M (method 3)."""
