"""Loss terms as pure functions, and the objectives that weigh them."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.losses.pretrain import Objective, PretrainLossConfig, pretrain_objective
    from moleblend_plugin.losses.property import (
        ClassificationConfig,
        RegressionConfig,
        classification_loss,
        regression_loss,
    )
    from moleblend_plugin.losses.structure import StructureLossConfig, structure_terms
    from moleblend_plugin.losses.term_table import Term, TermSpec

__all__ = [
    "ClassificationConfig",
    "Objective",
    "PretrainLossConfig",
    "RegressionConfig",
    "StructureLossConfig",
    "Term",
    "TermSpec",
    "classification_loss",
    "pretrain_objective",
    "regression_loss",
    "structure_terms",
]

__getattr__ = exports(__name__, __file__)
