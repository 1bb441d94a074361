"""Models that a network must beat: forests and boosted trees on fingerprints and descriptors."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.baselines.features import molecule_features
    from moleblend_plugin.baselines.kinds import BASELINES, Baseline
    from moleblend_plugin.baselines.task_models import TaskModels, fit_tasks

__all__ = ["BASELINES", "Baseline", "TaskModels", "fit_tasks", "molecule_features"]

__getattr__ = exports(__name__, __file__)
