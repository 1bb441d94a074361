"""Pretraining on blended relations: task, loss and models."""
