"""The version of this package, on the ground floor so that any room may name it."""

__version__ = "0.1.0"
