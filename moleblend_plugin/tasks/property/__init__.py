"""Fine-tuning on properties: task, losses and models."""

from moleblend_plugin.tasks.property import loss, model, task

__all__ = ["loss", "model", "task"]
