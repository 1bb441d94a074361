"""Structure-aware pretraining: task, loss, models and report."""

from moleblend_plugin.tasks.structure import loss, model, task

__all__ = ["loss", "model", "task"]
