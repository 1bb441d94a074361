"""Old name, until the build opens its inputs by ``inputs.open_inputs``; goes then."""

from __future__ import annotations

from pathlib import Path

from moleblend_plugin.chem.readers.npz import NPZ
from moleblend_plugin.chem.readers.sdf import SDF
from moleblend_plugin.chem.readers.smi import LIST
from moleblend_plugin.chem.readers.source import Columns, Source
from moleblend_plugin.chem.readers.tables import TABLE
from moleblend_plugin.errors import MoleblendError


def open_source(path: str | Path, columns: Columns | None = None) -> Source:
    """Reader by the file's name."""
    file = Path(path)
    if not file.exists():
        raise MoleblendError(f"{file} does not exist; check the path")
    for format in (LIST, TABLE, SDF, NPZ):
        if file.name.lower().removesuffix(".gz").endswith(format.endings):
            return Source(file, columns or Columns(), format)
    raise MoleblendError(f"{file} has no ending that tells its format")
