"""Uni-Mol's LMDB files: read without running what their pickles ask for, and written."""
