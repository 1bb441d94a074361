"""The room that wires the others for a trainer. Importing it registers tasks, models and losses."""

from moleblend_plugin.tasks import pretrain, property, structure

__all__ = ["pretrain", "property", "structure"]
