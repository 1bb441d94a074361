"""From a checkpoint to numbers: predictions and embeddings of streams of molecules."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.inference.conversion import Conversion, conversion_for
    from moleblend_plugin.inference.embedder import Embedder
    from moleblend_plugin.inference.input_rows import Input
    from moleblend_plugin.inference.predictor import Predictor

__all__ = [
    "Conversion",
    "Embedder",
    "Input",
    "Predictor",
    "conversion_for",
]

__getattr__ = exports(__name__, __file__)
