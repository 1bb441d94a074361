"""The Transformer on blended relations."""
