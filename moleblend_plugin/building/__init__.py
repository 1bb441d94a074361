"""The build as a library: a plan in, stores and a result out (``plan`` says what, ``run`` how)."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.building.plan import BuildPlan
    from moleblend_plugin.building.result import BuildResult
    from moleblend_plugin.building.run import build, run_build

__all__ = [
    "BuildPlan",
    "BuildResult",
    "build",
    "run_build",
]

__getattr__ = exports(__name__, __file__)
