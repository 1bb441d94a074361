"""Division into train, valid and test: methods, rows given by a file, and reports on leaks."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.splits.methods import SplitMethod, kfold_split, parse_split, random_split
    from moleblend_plugin.splits.report import split_report

__all__ = [
    "SplitMethod",
    "kfold_split",
    "parse_split",
    "random_split",
    "split_report",
]

__getattr__ = exports(__name__, __file__)
