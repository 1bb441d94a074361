"""Scores of predictions with missing labels, and how sure they are. Knows numbers, not models or files."""
