"""All that a network needs to compute without padding: one import, which loads Numba."""

from moleblend_plugin.models.packed.attention import attention, number_pairs
from moleblend_plugin.models.packed.distances import Kernels, distance_biases, feature_sums
from moleblend_plugin.models.packed.places import PackedBias, Places

__all__ = ["Kernels", "PackedBias", "Places", "attention", "distance_biases", "feature_sums", "number_pairs"]
