"""Early stopping: the best metric of a run, and how many validations ago it was (``--patience``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moleblend_plugin.trainer.command.config import ValidConfig


@dataclass(slots=True)
class EarlyStopping:
    """What a run remembers besides weights; kept in checkpoints.

    Attributes:
        best: best metric so far, ``None`` before the first validation.
        valid_loss: metric of the latest validation.
        best_for_patience: metric that later ones must beat.
        runs_without_better: validations since then.
    """

    best: float | None = None
    valid_loss: float | None = None
    best_for_patience: float | None = None
    runs_without_better: int = 0

    def update(self, metric: float | None, config: ValidConfig) -> bool:
        """Take in the metric of a validation (``None``: there was none).

        Returns:
            Whether patience is at its end.
        """
        self.valid_loss = metric
        if metric is None:
            return False
        if config.is_better(metric, self.best):
            self.best = metric
        if config.is_better(metric, self.best_for_patience):
            self.best_for_patience, self.runs_without_better = metric, 0
        else:
            self.runs_without_better += 1
        return self.out_of_patience(config)

    def out_of_patience(self, config: ValidConfig) -> bool:
        """Whether as many validations as ``--patience`` brought nothing better."""
        return 0 < config.patience <= self.runs_without_better

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "best_for_patience": self.best_for_patience,
            "runs_without_better": self.runs_without_better,
        }
