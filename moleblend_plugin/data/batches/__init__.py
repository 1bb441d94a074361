"""Samples to batches: data sets, their order, collation, labels and views."""
