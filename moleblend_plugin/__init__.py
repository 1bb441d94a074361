"""MoleBLEND for Uni-Core: pretraining and fine-tuning on blended 2D/3D atom relations."""

__version__ = "0.1.0"
