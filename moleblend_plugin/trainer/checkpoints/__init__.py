"""Checkpoint files: layout, saving, resuming."""
