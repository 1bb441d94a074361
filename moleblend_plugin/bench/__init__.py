"""Comparisons: named recipes, fingerprint baselines, and the runner and report behind ``moleblend bench``."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.bench.report.write import write_report
    from moleblend_plugin.bench.run.runner import run_cells
    from moleblend_plugin.bench.spec.config import BenchConfig, load_config
    from moleblend_plugin.bench.spec.recipes import Recipe, recipe_of

__all__ = [
    "BenchConfig",
    "Recipe",
    "load_config",
    "recipe_of",
    "run_cells",
    "write_report",
]

__getattr__ = exports(__name__, __file__)
