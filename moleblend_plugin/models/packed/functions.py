"""All that a network needs to compute without padding: one import, which loads Numba."""

from moleblend_plugin.models.packed.attention import attention, number_pairs
from moleblend_plugin.models.packed.distances import Kernels, distance_biases, feature_sums
from moleblend_plugin.models.packed.places import PackedBias, Places
from moleblend_plugin.models.packed.tokens import add_and_norm, gelu_linear

__all__ = [
    "Kernels",
    "PackedBias",
    "Places",
    "add_and_norm",
    "attention",
    "distance_biases",
    "feature_sums",
    "gelu_linear",
    "number_pairs",
]
