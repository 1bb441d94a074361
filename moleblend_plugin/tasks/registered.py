"""Importing this module registers every task, model and loss with the trainer."""

__all__ = [
    *("pretrain_loss", "pretrain_model", "pretrain_task"),
    *("property_loss", "property_model", "property_task"),
    *("structure_loss", "structure_model", "structure_task"),
]
