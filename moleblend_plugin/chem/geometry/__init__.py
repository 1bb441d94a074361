"""Coordinates: conformers, what is plausible, and coordinates that a file brings."""
