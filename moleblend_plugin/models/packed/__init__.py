"""A batch without padding, for a CPU: where everything is, compiled loops, and their gradients."""
