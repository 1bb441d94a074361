"""Pretraining on blended relations: task, loss and models."""

from moleblend_plugin.tasks.pretrain import loss, model, task

__all__ = ["loss", "model", "task"]
