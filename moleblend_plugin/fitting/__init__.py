"""From a table to a model folder: columns, kind of labels, parts, training, report."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.fitting.options import FitOptions
    from moleblend_plugin.fitting.run import FitResult, fit_table

__all__ = ["FitOptions", "FitResult", "fit_table"]

__getattr__ = exports(__name__, __file__)
