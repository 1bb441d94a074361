"""Relation encoders, Transformer encoder and heads: built parts, no trainer."""
