"""Curves of runs and their page."""
