"""MoleBLEND for Uni-Core: pretraining and fine-tuning on blended 2D/3D atom relations.

``unicore-train --user-dir moleblend_plugin`` imports this package, and it then registers its tasks,
models and losses. A plain ``import moleblend_plugin`` stays light and registers nothing. When named,
``build`` brings RDKit, and the estimators (``from moleblend_plugin import MoleblendRegressor``) bring
scikit-learn, and torch when they work.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from moleblend_plugin.entry import let_idle_threads_sleep
from moleblend_plugin.lazy import exports
from moleblend_plugin.runs import unicore_command
from moleblend_plugin.runs.detect import trainer_in_charge
from moleblend_plugin.version import __version__

if TYPE_CHECKING:
    from moleblend_plugin.building.run import build
    from moleblend_plugin.estimator import (
        MoleblendClassifier,
        MoleblendEmbedder,
        MoleblendMixed,
        MoleblendRegressor,
    )

__all__ = [
    "MoleblendClassifier",
    "MoleblendEmbedder",
    "MoleblendMixed",
    "MoleblendRegressor",
    "__version__",
    "build",
]

if trainer_in_charge() is not None:
    if trainer_in_charge() == "unicore" and unicore_command.is_command():
        unicore_command.speak_up()
    from moleblend_plugin.tasks import registered as registered


_look_up = exports(__name__, __file__)


def __getattr__(name: str) -> object:
    if name in __all__ and "torch" not in sys.modules:  # later it has read the environment
        let_idle_threads_sleep()
    return _look_up(name)
