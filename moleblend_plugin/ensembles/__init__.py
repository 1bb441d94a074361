"""Several models as one: folds, one epoch for all members, weights of base models, forests as arrays."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.ensembles.epoch import mean_curve
    from moleblend_plugin.ensembles.folds import assign_folds
    from moleblend_plugin.ensembles.forest_arrays import ForestArrays
    from moleblend_plugin.ensembles.weights import fit_weights, weighted_mean

__all__ = ["ForestArrays", "assign_folds", "fit_weights", "mean_curve", "weighted_mean"]

__getattr__ = exports(__name__, __file__)
