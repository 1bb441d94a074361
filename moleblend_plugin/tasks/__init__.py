"""The room that wires the others for a trainer. Importing it registers task, models and losses."""

from moleblend_plugin.tasks import (
    losses,
    models,
    pretrain,
    property,
    property_losses,
    structure_loss,
    structure_models,
    structure_task,
)

__all__ = [
    "losses",
    "models",
    "pretrain",
    "property",
    "property_losses",
    "structure_loss",
    "structure_models",
    "structure_task",
]
