"""Base classes and registries that a plugin extends, as Uni-Core has them."""
