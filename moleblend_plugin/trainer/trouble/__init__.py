"""What goes wrong in a run: not-finite numbers, memory, signals."""
