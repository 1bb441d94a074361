"""Moved: ``moleblend_plugin.inference.input_rows``; :func:`open_input` stays until 0.2."""

import warnings
from pathlib import Path

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.readers.source import Columns
from moleblend_plugin.inference.input_rows import MAX_ATOMS, Input
from moleblend_plugin.inputs.opener import open_molecules
from moleblend_plugin.lazy import REMOVED_IN

__all__ = ["Input", "open_input"]


def open_input(
    path: str | Path,
    conversion: ConversionConfig,
    workers: int = 1,
    smiles_column: str = "",
    max_atoms: int = MAX_ATOMS,
) -> Input:
    """Deprecated: ``Input(open_molecules(path, Columns(smiles_column)), conversion, workers, max_atoms)``."""
    message = f"open_input is now Input(open_molecules(...)); it will be removed in version {REMOVED_IN}"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return Input(open_molecules(path, Columns(smiles_column)), conversion, workers, max_atoms)
