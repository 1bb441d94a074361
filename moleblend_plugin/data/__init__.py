"""Stored molecules -> relations -> blended samples -> padded batches. No RDKit in this room."""
