"""Which atoms make a prediction: their contributions, as numbers and drawn."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.explain.explainer import Attribution, Explainer, Explanation
    from moleblend_plugin.explain.molecules import explain_molecules

__all__ = [
    "Attribution",
    "Explainer",
    "Explanation",
    "explain_molecules",
]

__getattr__ = exports(__name__, __file__)
