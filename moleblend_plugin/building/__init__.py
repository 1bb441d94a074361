"""The build as a library: in one run (``run``), or in pieces (``piece``) that are joined (``join``)."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.building.cut import Piece
    from moleblend_plugin.building.join import join_pieces
    from moleblend_plugin.building.options import BuildOptions
    from moleblend_plugin.building.piece import PieceResult, build_piece
    from moleblend_plugin.building.plan import BuildPlan
    from moleblend_plugin.building.result import BuildResult
    from moleblend_plugin.building.run import build, run_build

__all__ = [
    "BuildOptions",
    "BuildPlan",
    "BuildResult",
    "Piece",
    "PieceResult",
    "build",
    "build_piece",
    "join_pieces",
    "run_build",
]

__getattr__ = exports(__name__, __file__)
