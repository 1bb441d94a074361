"""Settings of a fit, searched by cross-validation of its training part in a stated time."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.tuning.run import TuneOptions, TuneResult, tune_table

__all__ = ["TuneOptions", "TuneResult", "tune_table"]

__getattr__ = exports(__name__, __file__)
