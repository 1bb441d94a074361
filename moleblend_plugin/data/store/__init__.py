"""Molecules on disk: LMDB stores, their metadata, checksums and images."""
