"""Comparisons: named recipes, fingerprint baselines, and the runner and report behind ``moleblend bench``."""
